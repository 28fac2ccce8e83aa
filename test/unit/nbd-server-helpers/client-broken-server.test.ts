/** Servers that break the rules: the client gives the connection up, before it keeps much of theirs. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NbdProtocolError, OPTION_REPLY_BYTES_MAX } from 'nbd-server-helpers';
import { GREETING, bytes, hex, optionReply, text, u16, u32, u64 } from '#test/support/nbd-bytes.js';
import { GO, play } from './pretend-server.js';

const ACK = 1;
const SIZE = bytes(u16(0), u64(65536), u16(0x0005));

describe('ClientHandshake, broken servers', () => {
  const broken: Record<string, Buffer[]> = {
    'does not speak NBD': [bytes('HTTP/1.1 400 Bad R')],
    'speaks the oldstyle handshake': [
      hex('4e42444d41474943 00420281861253 000000'.padEnd(37, '0')),
    ],
    'greets with a handshake of its own': [bytes('NBDMAGICSOMETHIN', u16(0))],
    'replies to another option': [GREETING, optionReply(6, ACK)],
    'replies with another magic': [GREETING, Buffer.alloc(20)],
    'replies with a type that has no place here': [GREETING, optionReply(7, 2, text('vol0'))],
    'acknowledges without telling the size': [GREETING, optionReply(7, ACK)],
    'tells a size above 2^53': [
      GREETING,
      bytes(optionReply(7, 3, u16(0), u64(2n ** 63n), u16(1)), optionReply(7, ACK)),
    ],
    'tells a size in too few bytes': [
      GREETING,
      bytes(optionReply(7, 3, u16(0), u32(1)), optionReply(7, ACK)),
    ],
    'tells a block size that is no power of two': [
      GREETING,
      bytes(
        optionReply(7, 3, SIZE),
        optionReply(7, 3, u16(3), u32(511), u32(4096), u32(65536)),
        optionReply(7, ACK),
      ),
    ],
    'tells a name that is not UTF-8': [
      GREETING,
      bytes(optionReply(7, 3, u16(1), hex('ff')), optionReply(7, ACK)),
    ],
  };
  for (const [what, messages] of Object.entries(broken)) {
    it(`refuses a server that ${what}`, () => {
      assert.throws(() => play(GO, ...messages), NbdProtocolError);
    });
  }

  it('refuses a reply above the limit before its data arrived', () => {
    const header = bytes(
      optionReply(7, 0x80000001).subarray(0, 16),
      u32(OPTION_REPLY_BYTES_MAX + 1),
    );
    assert.throws(() => play(GO, GREETING, header), NbdProtocolError);
  });

  it('refuses a list entry whose name is longer than the reply', () => {
    const list = { ...GO, purpose: 'list' as const };
    const entry = bytes(optionReply(3, 2, u32(9), 'vol0'), optionReply(3, ACK));
    assert.throws(() => play(list, GREETING, entry), /bad reply from the server/);
  });
});
