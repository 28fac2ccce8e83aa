/** The client's handshake: what it sends byte by byte, what it makes of good and of bad servers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ClientHandshake, NbdProtocolError, type ClientHandshakeOptions } from 'nbd-server-helpers';
import {
  GREETING,
  bytes,
  cuts,
  option,
  optionReply,
  simpleReply,
  text,
  u16,
  u32,
  u64,
} from '#test/support/nbd-bytes.js';
import { GO, play } from './pretend-server.js';

const ACK = 1;
const [UNSUP, POLICY, UNKNOWN] = [0x80000001, 0x80000002, 0x80000006];
const SIZE = bytes(u16(0), u64(65536), u16(0x0005));
const BLOCK = bytes(u16(3), u32(512), u32(4096), u32(65536));
const ABORT = option(2);
const GO_VOL0 = option(7, text('vol0'), u16(3), u16(1), u16(2), u16(3));
const NO_ZEROES_GREETING = GREETING;

const FACTS = {
  name: 'vol0',
  sizeBytes: 65536,
  transmissionFlags: 5,
  minimumBlockBytes: 512,
  preferredBlockBytes: 4096,
  maximumPayloadBytes: 65536,
  metaContexts: [],
};

/** As `play`, with all of the server's bytes cut in every way. */
function assertSame(options: ClientHandshakeOptions, ...messages: readonly Buffer[]): void {
  const expected = play(options, ...messages);
  for (const chunks of cuts(bytes(...messages))) {
    const client = new ClientHandshake(options);
    const received = chunks.filter(({ length }) => length > 0);
    const steps = received.map((chunk) => client.push(chunk));
    assert.deepEqual(bytes(...steps.map(({ send }) => send)), bytes(...expected.sent));
    assert.deepEqual(steps.find(({ outcome }) => outcome)?.outcome, expected.outcome);
  }
}

describe('ClientHandshake, going to an export', () => {
  const granted = bytes(optionReply(7, 3, SIZE), optionReply(7, 3, BLOCK), optionReply(7, ACK));

  it('answers the greeting, asks for the export, and ends in transmission', () => {
    const { sent, outcome } = play(GO, GREETING, granted);
    assert.deepEqual(sent, [bytes(u32(3), GO_VOL0), Buffer.alloc(0)]);
    assert.deepEqual(outcome, {
      kind: 'transmission',
      session: {
        exportName: 'vol0',
        replyKind: 'simple',
        extendedHeaders: false,
        metaContexts: [],
        facts: FACTS,
      },
      leftover: Buffer.alloc(0),
    });
    assertSame(GO, GREETING, granted);
  });

  it('hands over bytes that follow in the same chunk', () => {
    const { outcome } = play(GO, GREETING, bytes(granted, simpleReply(0, 1n)));
    assert.equal(outcome?.kind, 'transmission');
    assert.deepEqual(outcome.leftover, simpleReply(0, 1n));
  });

  it('asks for extended headers, contexts, and takes what it is given', () => {
    const options: ClientHandshakeOptions = {
      ...GO,
      replyKind: 'extended',
      metaContexts: ['base:allocation', 'x-other:a'],
    };
    const messages = [
      GREETING,
      optionReply(11, ACK),
      bytes(optionReply(10, 4, u32(77), 'base:allocation'), optionReply(10, ACK)),
      granted,
    ];
    const { sent, outcome } = play(options, ...messages);
    assert.deepEqual(sent, [
      bytes(u32(3), option(11)),
      option(10, text('vol0'), u32(2), text('base:allocation'), text('x-other:a')),
      GO_VOL0,
      Buffer.alloc(0),
    ]);
    assert.equal(outcome?.kind, 'transmission');
    assert.equal(outcome.session.replyKind, 'extended');
    assert.deepEqual(outcome.session.metaContexts, [{ id: 77, name: 'base:allocation' }]);
    assertSame(options, ...messages);
  });

  it('falls back from extended to structured to simple replies', () => {
    const options: ClientHandshakeOptions = { ...GO, replyKind: 'extended' };
    const structured = play(
      options,
      GREETING,
      optionReply(11, UNSUP),
      optionReply(8, ACK),
      granted,
    );
    assert.equal(
      structured.outcome?.kind === 'transmission' && structured.outcome.session.replyKind,
      'structured',
    );
    const simple = play(options, GREETING, optionReply(11, UNSUP), optionReply(8, UNSUP), granted);
    assert.equal(
      simple.outcome?.kind === 'transmission' && simple.outcome.session.replyKind,
      'simple',
    );
  });

  it('falls back to EXPORT_NAME where GO is unknown, with and without zeroes', () => {
    const reply = bytes(u64(65536), u16(5));
    const { sent, outcome } = play(GO, NO_ZEROES_GREETING, optionReply(7, UNSUP), reply);
    assert.deepEqual(sent[1], option(1, 'vol0'));
    assert.equal(outcome?.kind, 'transmission');
    assert.equal(outcome.session.facts.minimumBlockBytes, 1);
    assert.equal(outcome.session.facts.maximumPayloadBytes, 32 * 1024 * 1024);

    const zeroes = bytes(reply, Buffer.alloc(124));
    const withZeroes = bytes(GREETING.subarray(0, 16), u16(1));
    const padded = play(GO, withZeroes, optionReply(7, UNSUP), zeroes);
    assert.deepEqual(padded.sent[0], bytes(u32(1), GO_VOL0));
    assert.equal(padded.outcome?.kind, 'transmission');
    assert.equal(padded.outcome.leftover.length, 0);
  });

  it('uses EXPORT_NAME at once with a server that is not fixed newstyle', () => {
    const oldest = bytes(GREETING.subarray(0, 16), u16(0));
    const reply = bytes(u64(65536), u16(5), Buffer.alloc(124));
    const { sent, outcome } = play(GO, oldest, reply);
    assert.deepEqual(sent[0], bytes(u32(0), option(1, 'vol0')));
    assert.equal(outcome?.kind, 'transmission');
  });

  it('ends with the text of the server and an ABORT when it is refused', () => {
    const { sent, outcome } = play(GO, GREETING, optionReply(7, UNKNOWN, 'no such export'));
    assert.deepEqual(sent[1], ABORT);
    assert.deepEqual(outcome, {
      kind: 'refused',
      reason: "export 'vol0': no such export",
      reply: UNKNOWN,
    });
  });

  it('names the error where the server gives no text, and ignores what still comes', () => {
    const client = new ClientHandshake(GO);
    client.push(GREETING);
    const { outcome } = client.push(optionReply(7, UNKNOWN));
    assert.equal(
      outcome?.kind === 'refused' && outcome.reason,
      "export 'vol0': NBD_REP_ERR_UNKNOWN",
    );
    assert.equal(client.push(optionReply(2, ACK)).outcome, undefined);
  });

  it('ignores information that it does not know', () => {
    const more = bytes(optionReply(7, 3, u16(99), 'new'), granted);
    assert.equal(play(GO, GREETING, more).outcome?.kind, 'transmission');
  });
});

describe('ClientHandshake, asking only', () => {
  it('lists exports', () => {
    const options: ClientHandshakeOptions = { ...GO, purpose: 'list' };
    const messages = [
      GREETING,
      bytes(
        optionReply(3, 2, text('vol0'), 'first'),
        optionReply(3, 2, text('')),
        optionReply(3, ACK),
      ),
    ];
    const { sent, outcome } = play(options, ...messages);
    assert.deepEqual(sent, [bytes(u32(3), option(3)), ABORT]);
    assert.deepEqual(outcome, {
      kind: 'list',
      exports: [
        { name: 'vol0', description: 'first' },
        { name: '', description: '' },
      ],
    });
    assertSame(options, ...messages);
  });

  it('tells the facts of an export without entering it', () => {
    const options: ClientHandshakeOptions = { ...GO, exportName: '', purpose: 'info' };
    const infos = [SIZE, BLOCK, bytes(u16(1), 'vol0'), bytes(u16(2), 'first')];
    const replies = bytes(...infos.map((info) => optionReply(6, 3, info)), optionReply(6, ACK));
    const { sent, outcome } = play(options, GREETING, replies);
    assert.deepEqual(sent[1], ABORT);
    assert.deepEqual(outcome, { kind: 'info', facts: { ...FACTS, description: 'first' } });
  });
});

describe('ClientHandshake, TLS', () => {
  const required: ClientHandshakeOptions = { ...GO, tls: 'required' };

  it('asks for TLS first, and goes on inside of it', () => {
    const client = new ClientHandshake(required);
    assert.deepEqual(client.push(GREETING).send, bytes(u32(3), option(5)));
    assert.deepEqual(client.push(optionReply(5, ACK)).outcome, { kind: 'start-tls' });
    assert.deepEqual(client.tlsEstablished(), { send: GO_VOL0, outcome: undefined });
  });

  it('refuses plain text behind the acknowledgement', () => {
    const client = new ClientHandshake(required);
    client.push(GREETING);
    assert.throws(
      () => client.push(bytes(optionReply(5, ACK), optionReply(7, ACK))),
      NbdProtocolError,
    );
  });

  it('ends where TLS is required and refused, and goes on where it is only preferred', () => {
    const refused = play(required, GREETING, optionReply(5, POLICY, 'not here'));
    assert.equal(refused.outcome?.kind, 'refused');
    const preferred = play({ ...GO, tls: 'preferred' }, GREETING, optionReply(5, POLICY));
    assert.deepEqual(preferred.sent[1], GO_VOL0);
  });

  it('does not fall back to a handshake without TLS', () => {
    const oldest = bytes(GREETING.subarray(0, 16), u16(0));
    assert.equal(play(required, oldest).outcome?.kind, 'refused');
  });
});
