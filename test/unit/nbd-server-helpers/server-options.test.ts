/** What the server answers to each option, byte by byte except for the texts of errors. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytes, hex, option, optionReply, text, u16, u32, u64 } from '#test/support/nbd-bytes.js';
import {
  CLIENT_FLAGS,
  FLAGS,
  FLAG_DF,
  GREETING,
  PLAIN_VOLUME,
  VOLUME,
  answers,
  assertError,
  go,
  newServer,
  sessionOf,
  talk,
} from './pretend-exports.js';

const [LIST, INFO, GO, STRUCTURED, EXTENDED] = [3, 6, 7, 8, 11];
const [ACK, SERVER, REP_INFO] = [1, 2, 3];
const [UNSUP, INVALID, UNKNOWN] = [0x80000001, 0x80000003, 0x80000006];
const EXT_HEADER_REQD = 0x8000000a;

const SIZE_INFO = bytes(u16(0), u64(2 ** 40 + 512), u16(FLAGS));
const SIZE_INFO_DF = bytes(u16(0), u64(2 ** 40 + 512), u16(FLAGS | FLAG_DF));
const BLOCK_INFO = bytes(u16(3), u32(512), u32(65536), u32(0x2000000));

describe('NBD_OPT_LIST', () => {
  it('names every export with its description, then acknowledges', () => {
    assert.deepEqual(
      answers(option(LIST)),
      bytes(
        optionReply(LIST, SERVER, text('vol0'), 'the first volume'),
        optionReply(LIST, SERVER, text('größe/1')),
        optionReply(LIST, ACK),
      ),
    );
  });

  it('is refused with data', () => {
    assertError(LIST, INVALID, option(LIST, 'x'));
  });
});

describe('NBD_OPT_INFO and NBD_OPT_GO', () => {
  const both = [
    { number: INFO, name: 'NBD_OPT_INFO' },
    { number: GO, name: 'NBD_OPT_GO' },
  ];
  for (const { number, name } of both) {
    it(`${name} tells size and block sizes, asked or not`, () => {
      const expected = bytes(
        optionReply(number, REP_INFO, SIZE_INFO),
        optionReply(number, REP_INFO, BLOCK_INFO),
        optionReply(number, ACK),
      );
      assert.deepEqual(answers(go(number, 'vol0')), expected);
      assert.deepEqual(answers(go(number, 'vol0', 3, 3, 0)), expected);
    });

    it(`${name} tells name and description to a client that asks, and ignores unknown requests`, () => {
      assert.deepEqual(
        answers(go(number, 'vol0', 1, 0xffff, 2)),
        bytes(
          optionReply(number, REP_INFO, SIZE_INFO),
          optionReply(number, REP_INFO, BLOCK_INFO),
          optionReply(number, REP_INFO, u16(1), 'vol0'),
          optionReply(number, REP_INFO, u16(2), 'the first volume'),
          optionReply(number, ACK),
        ),
      );
    });

    it(`${name} tells the name of the default export, which the client does not know`, () => {
      assert.deepEqual(
        answers(go(number, '')),
        bytes(
          optionReply(number, REP_INFO, SIZE_INFO),
          optionReply(number, REP_INFO, BLOCK_INFO),
          optionReply(number, REP_INFO, u16(1), 'vol0'),
          optionReply(number, ACK),
        ),
      );
    });

    it(`${name} for an unknown export gets ERR_UNKNOWN`, () => {
      assertError(number, UNKNOWN, go(number, 'vol'));
    });

    const broken: Record<string, Buffer> = {
      'no data': option(number),
      'a name longer than the data': option(number, u32(5), 'vol0', u16(0)),
      'a name length of 2^32 - 1': option(number, u32(0xffffffff), 'vol0', u16(0)),
      'fewer information requests than announced': option(number, text('vol0'), u16(2), u16(0)),
      'bytes behind the last information request': option(number, text('vol0'), u16(0), u16(0)),
      'a name that is not UTF-8': option(number, u32(2), hex('c328'), u16(0)),
      'a name with NUL': option(number, text('vol\0'), u16(0)),
      'a name of 4097 bytes': go(number, 'x'.repeat(4097)),
    };
    for (const [what, wire] of Object.entries(broken)) {
      it(`${name} with ${what} gets ERR_INVALID`, () => {
        assertError(number, INVALID, wire);
      });
    }

    it(`${name} with a name of 4096 bytes is read`, () => {
      assertError(number, UNKNOWN, go(number, 'x'.repeat(4096)));
    });
  }

  it('announces DF only where structured replies were agreed on', () => {
    assert.deepEqual(
      answers(option(STRUCTURED), go(INFO, 'vol0')).subarray(20),
      bytes(
        optionReply(INFO, REP_INFO, SIZE_INFO_DF),
        optionReply(INFO, REP_INFO, BLOCK_INFO),
        optionReply(INFO, ACK),
      ),
    );
    assert.equal(sessionOf(go(GO, 'vol0')).flags, FLAGS);
    assert.equal(sessionOf(option(STRUCTURED), go(GO, 'vol0')).flags, FLAGS | FLAG_DF);
  });

  it('always announces HAS_FLAGS', () => {
    const { flags } = sessionOf(go(GO, PLAIN_VOLUME.name));
    assert.equal(flags, 0x0003);
  });

  it('enters the canonical name for the default export', () => {
    const { outcome } = talk(newServer(), [CLIENT_FLAGS, go(GO, '')]);
    assert.equal(outcome?.kind === 'transmission' && outcome.session.exportName, VOLUME.name);
  });
});

describe('NBD_OPT_STRUCTURED_REPLY and NBD_OPT_EXTENDED_HEADERS', () => {
  it('are acknowledged, also twice, and set the kind of replies', () => {
    const twice = [option(STRUCTURED), option(STRUCTURED)];
    assert.deepEqual(
      answers(...twice),
      bytes(optionReply(STRUCTURED, ACK), optionReply(STRUCTURED, ACK)),
    );
    assert.equal(sessionOf(...twice, go(GO, 'vol0')).replyKind, 'structured');
    assert.deepEqual(answers(option(EXTENDED)), optionReply(EXTENDED, ACK));
    const extended = sessionOf(option(STRUCTURED), option(EXTENDED), go(GO, 'vol0'));
    assert.equal(extended.replyKind, 'extended');
    assert.equal(extended.extendedHeaders, true);
  });

  it('do not fall back from extended to structured', () => {
    assertError(STRUCTURED, EXT_HEADER_REQD, option(EXTENDED), option(STRUCTURED));
    assert.equal(
      sessionOf(option(EXTENDED), option(STRUCTURED), go(GO, 'vol0')).replyKind,
      'extended',
    );
  });

  it('are refused with data, and then not agreed on', () => {
    assertError(STRUCTURED, INVALID, option(STRUCTURED, 'x'));
    assertError(EXTENDED, INVALID, option(EXTENDED, 'x'));
    assert.equal(sessionOf(option(STRUCTURED, 'x'), go(GO, 'vol0')).replyKind, 'simple');
  });

  it('EXTENDED_HEADERS is unknown to a server that does not allow it', () => {
    const { sent } = talk(newServer('unavailable', false), [CLIENT_FLAGS, option(EXTENDED)]);
    assert.equal(sent.readUInt32BE(GREETING.length + 12), UNSUP);
  });
});
