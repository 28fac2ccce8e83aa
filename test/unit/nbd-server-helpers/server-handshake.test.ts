/** Framing, limits, ends and TLS of the server's handshake; the single options are server-options.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  HANDSHAKE_SENT_BYTES_MAX,
  NbdProtocolError,
  OPTIONS_MAX,
  OPTION_DATA_BYTES_MAX,
  OPTION_SKIPPED_BYTES_MAX,
  ServerHandshake,
} from 'nbd-server-helpers';
import {
  GREETING,
  READ,
  bytes,
  cuts,
  hex,
  option,
  optionReply,
  request,
  u16,
  u32,
  u64,
} from '#test/support/nbd-bytes.js';
import {
  CLIENT_FLAGS,
  FLAGS,
  VOLUME,
  begun,
  newServer,
  repliesIn,
  talk,
} from './pretend-exports.js';

const UNSUP = 0x80000001;
const INVALID = 0x80000003;
const TOO_BIG = 0x80000009;
const ACK = 1;

/** The header of an option without its data. */
function optionHeader(number: number, dataBytes: number): Buffer {
  return bytes(option(number).subarray(0, 12), u32(dataBytes));
}

describe('ServerHandshake, greeting and EXPORT_NAME', () => {
  it('greets as a fixed newstyle server that can leave out the zeroes', () => {
    assert.deepEqual(newServer().begin(), GREETING);
  });

  it('answers EXPORT_NAME with size, flags and 124 zeroes to a client that wants them', () => {
    const wire = bytes(u32(0), option(1, 'vol0'));
    for (const chunks of cuts(wire)) {
      const { sent, outcome } = talk(newServer(), chunks);
      assert.deepEqual(sent, bytes(GREETING, u64(2 ** 40 + 512), u16(FLAGS), Buffer.alloc(124)));
      assert.equal(outcome?.kind, 'transmission');
    }
  });

  it('leaves the zeroes out where the client said so, and hands over what follows', () => {
    const wire = bytes(CLIENT_FLAGS, option(1, 'vol0'), request(READ), request(READ));
    for (const chunks of cuts(wire)) {
      const { sent, outcome } = talk(newServer(), chunks);
      assert.deepEqual(sent, bytes(GREETING, u64(2 ** 40 + 512), u16(FLAGS)));
      assert.deepEqual(outcome, {
        kind: 'transmission',
        session: {
          exportName: 'vol0',
          replyKind: 'simple',
          extendedHeaders: false,
          metaContexts: [],
          facts: { ...VOLUME, transmissionFlags: FLAGS },
        },
        leftover: bytes(request(READ), request(READ)),
      });
    }
  });

  it('closes after EXPORT_NAME for an export that is not there: no error can be told', () => {
    const { outcome } = talk(newServer(), [CLIENT_FLAGS, option(1, 'nowhere')]);
    assert.deepEqual(outcome, { kind: 'closed', reason: "export 'nowhere' is not available" });
  });

  it('closes after EXPORT_NAME that is too long without waiting for the name', () => {
    const { outcome } = talk(newServer(), [CLIENT_FLAGS, optionHeader(1, 4097)]);
    assert.equal(outcome?.kind, 'closed');
    const longest = talk(newServer(), [CLIENT_FLAGS, optionHeader(1, 4096)]);
    assert.equal(longest.outcome, undefined);
  });

  it('closes after EXPORT_NAME that is not UTF-8, or behind EXTENDED_HEADERS', () => {
    const { outcome } = talk(newServer(), [CLIENT_FLAGS, option(1, hex('ff'))]);
    assert.deepEqual(outcome, { kind: 'closed', reason: 'export name is not UTF-8' });
    const late = talk(newServer(), [CLIENT_FLAGS, option(11), option(1, 'vol0')]);
    assert.equal(late.outcome?.kind, 'closed');
  });

  it('acknowledges ABORT, ends, and ignores what still comes', () => {
    const server = newServer();
    const wire = bytes(CLIENT_FLAGS, option(2, 'good', 'bye'));
    const { sent, outcome } = talk(server, [wire]);
    assert.deepEqual(sent, bytes(GREETING, optionReply(2, ACK)));
    assert.equal(outcome?.kind, 'closed');
    assert.deepEqual(server.push(hex('00112233')), { send: Buffer.alloc(0), outcome: undefined });
  });

  it('does not swallow bytes of the transmission phase', () => {
    const server = newServer();
    talk(server, [CLIENT_FLAGS, option(1, 'vol0')]);
    assert.throws(() => server.push(request(READ)), assert.AssertionError);
  });
});

describe('ServerHandshake, broken rules', () => {
  it('closes on an unknown client flag', () => {
    const server = newServer();
    server.begin();
    assert.throws(() => server.push(u32(4)), NbdProtocolError);
    assert.throws(() => server.push(u32(0)), NbdProtocolError);
  });

  it('closes on an option with a wrong magic, and says what came', () => {
    assert.throws(() => begun().push(request(READ)), {
      name: 'NbdProtocolError',
      message: 'option begins with 0x2560951300000000, not its magic',
    });
  });

  it('closes on any option but EXPORT_NAME of a client that is not fixed newstyle', () => {
    const server = newServer();
    server.begin();
    server.push(u32(0));
    assert.throws(() => server.push(option(3)), NbdProtocolError);
  });
});

describe('ServerHandshake, unknown and long options', () => {
  it('answers an unknown option with ERR_UNSUP and goes on, wherever the bytes are cut', () => {
    const wire = bytes(CLIENT_FLAGS, option(77, 'some data'), option(4), option(2));
    for (const chunks of cuts(wire)) {
      const { sent } = talk(newServer(), chunks);
      assert.deepEqual(repliesIn(sent.subarray(18)), [
        [77, UNSUP],
        [4, UNSUP],
        [2, ACK],
      ]);
    }
  });

  it('answers option data of one byte too many with ERR_TOO_BIG without keeping it', () => {
    const server = begun();
    assert.equal(server.push(optionHeader(7, OPTION_DATA_BYTES_MAX + 1)).send.length, 0);
    assert.equal(server.push(Buffer.alloc(OPTION_DATA_BYTES_MAX)).send.length, 0);
    assert.deepEqual(repliesIn(server.push(Buffer.alloc(1)).send), [[7, TOO_BIG]]);
    assert.deepEqual(repliesIn(server.push(option(8)).send), [[8, ACK]]);
  });

  it('reads option data of exactly the limit', () => {
    const server = begun();
    server.push(optionHeader(7, OPTION_DATA_BYTES_MAX));
    const { send } = server.push(Buffer.alloc(OPTION_DATA_BYTES_MAX));
    assert.deepEqual(repliesIn(send), [[7, INVALID]]);
  });

  it('answers a long unknown option with ERR_UNSUP, not with ERR_TOO_BIG', () => {
    const server = begun();
    server.push(optionHeader(99, OPTION_DATA_BYTES_MAX + 1));
    const { send } = server.push(Buffer.alloc(OPTION_DATA_BYTES_MAX + 1));
    assert.deepEqual(repliesIn(send), [[99, UNSUP]]);
  });

  it('skips up to the named limit, and closes beyond', () => {
    assert.equal(begun().push(optionHeader(99, OPTION_SKIPPED_BYTES_MAX)).outcome, undefined);
    assert.throws(
      () => begun().push(optionHeader(99, OPTION_SKIPPED_BYTES_MAX + 1)),
      NbdProtocolError,
    );
  });

  it('answers as many options as the limit says, and closes at the next', () => {
    const server = begun();
    for (let count = 1; count <= OPTIONS_MAX; count += 1) server.push(option(99));
    assert.throws(() => server.push(option(99)), /more than 1024 options/);
  });

  it('does not let a client ask for long answers without end', () => {
    const description = 'd'.repeat(4000);
    const listed = Array.from({ length: 1000 }, (_, index) => ({ name: `v${index}`, description }));
    const server = new ServerHandshake({
      exports: { list: () => listed, find: () => undefined },
      tls: 'unavailable',
    });
    server.begin();
    server.push(CLIENT_FLAGS);
    let sentBytes = 0;
    const ask = (): void => {
      for (;;) sentBytes += server.push(option(3)).send.length;
    };
    assert.throws(ask, NbdProtocolError);
    assert.ok(sentBytes > HANDSHAKE_SENT_BYTES_MAX);
    assert.ok(sentBytes < HANDSHAKE_SENT_BYTES_MAX + 5 * 1024 * 1024);
  });
});
