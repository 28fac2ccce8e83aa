/** STARTTLS in the three modes of a server. TLS itself is not run: the handshake only says when. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NbdProtocolError } from 'nbd-server-helpers';
import { bytes, hex, option, optionReply, text, u16, u32 } from '#test/support/nbd-bytes.js';
import { begun, repliesIn } from './pretend-exports.js';

const ACK = 1;
const UNSUP = 0x80000001;
const POLICY = 0x80000002;
const INVALID = 0x80000003;
const TLS_REQD = 0x80000005;

describe('ServerHandshake, TLS unavailable', () => {
  it('answers STARTTLS with ERR_POLICY and goes on in plain text', () => {
    const { send, outcome } = begun().push(bytes(option(5), option(2)));
    assert.deepEqual(repliesIn(send), [
      [5, POLICY],
      [2, ACK],
    ]);
    assert.equal(outcome?.kind, 'closed');
  });
});

describe('ServerHandshake, TLS offered', () => {
  it('acknowledges STARTTLS, then forgets what was agreed in plain text', () => {
    const server = begun('offered');
    server.push(option(8));
    server.push(option(10, text('vol0'), u32(1), text('base:allocation')));
    assert.deepEqual(server.push(option(5)), {
      send: optionReply(5, ACK),
      outcome: { kind: 'start-tls' },
    });
    server.tlsEstablished();
    const { outcome } = server.push(option(7, text('vol0'), u16(0)));
    assert.equal(outcome?.kind, 'transmission');
    assert.equal(outcome.session.replyKind, 'simple');
    assert.deepEqual(outcome.session.metaContexts, []);
  });

  it('refuses plain text in the same chunk behind STARTTLS', () => {
    assert.throws(() => begun('offered').push(bytes(option(5), option(8))), /plain text/);
    assert.throws(() => begun('offered').push(bytes(option(5), hex('49'))), /plain text/);
  });

  it('refuses plain text pushed before TLS is up', () => {
    const server = begun('offered');
    server.push(option(5));
    assert.throws(() => server.push(option(8)), NbdProtocolError);
  });

  it('answers a second STARTTLS inside of TLS, or one with data, with ERR_INVALID', () => {
    const server = begun('offered');
    assert.deepEqual(repliesIn(server.push(option(5, 'x')).send), [[5, INVALID]]);
    server.push(option(5));
    server.tlsEstablished();
    assert.deepEqual(repliesIn(server.push(option(5)).send), [[5, INVALID]]);
  });

  it('serves clients in plain text too', () => {
    const { outcome } = begun('offered').push(option(7, text('vol0'), u16(0)));
    assert.equal(outcome?.kind, 'transmission');
  });
});

describe('ServerHandshake, TLS required', () => {
  it('answers every option but STARTTLS and ABORT with ERR_TLS_REQD before TLS', () => {
    const go = option(7, text('vol0'), u16(0));
    const { send } = begun('required').push(
      bytes(option(3), option(8), option(11), go, option(99, 'x'), option(2)),
    );
    assert.deepEqual(repliesIn(send), [
      [3, TLS_REQD],
      [8, TLS_REQD],
      [11, TLS_REQD],
      [7, TLS_REQD],
      [99, TLS_REQD],
      [2, ACK],
    ]);
  });

  it('closes after EXPORT_NAME before TLS', () => {
    const { send, outcome } = begun('required').push(option(1, 'vol0'));
    assert.equal(send.length, 0);
    assert.equal(outcome?.kind, 'closed');
  });

  it('never says ERR_TLS_REQD inside of TLS', () => {
    const server = begun('required');
    server.push(option(5));
    server.tlsEstablished();
    assert.deepEqual(repliesIn(server.push(bytes(option(8), option(99))).send), [
      [8, ACK],
      [99, UNSUP],
    ]);
    const { outcome } = server.push(option(1, 'vol0'));
    assert.equal(outcome?.kind, 'transmission');
  });
});
