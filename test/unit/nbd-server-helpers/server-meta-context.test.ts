/** Listing and selecting metadata contexts, byte by byte except for the texts of errors. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { META_QUERIES_MAX } from 'nbd-server-helpers';
import { bytes, hex, option, optionReply, text, u32 } from '#test/support/nbd-bytes.js';
import { PLAIN_VOLUME, answers, assertError, go, meta, sessionOf } from './pretend-exports.js';

const [INFO, GO, STRUCTURED, LIST_META, SET_META, EXTENDED] = [6, 7, 8, 9, 10, 11];
const [ACK, META] = [1, 4];
const [INVALID, UNKNOWN, TOO_BIG] = [0x80000003, 0x80000006, 0x80000009];

describe('NBD_OPT_LIST_META_CONTEXT', () => {
  const all = bytes(
    optionReply(LIST_META, META, u32(0), 'base:allocation'),
    optionReply(LIST_META, META, u32(0), 'x-blkferry:age'),
    optionReply(LIST_META, ACK),
  );
  const base = bytes(
    optionReply(LIST_META, META, u32(0), 'base:allocation'),
    optionReply(LIST_META, ACK),
  );
  const nothing = optionReply(LIST_META, ACK);

  /** @returns the answer behind that to STRUCTURED_REPLY */
  function listed(...queries: readonly string[]): Buffer {
    return answers(option(STRUCTURED), meta(LIST_META, 'vol0', ...queries)).subarray(20);
  }

  it('lists all contexts without a query', () => {
    assert.deepEqual(listed(), all);
  });

  it('lists by name and by namespace, each context once', () => {
    assert.deepEqual(listed('base:allocation'), base);
    assert.deepEqual(listed('base:'), base);
    assert.deepEqual(listed('base:', 'base:allocation'), base);
    assert.deepEqual(listed('base:', 'x-blkferry:'), all);
  });

  it('ignores what it does not know', () => {
    assert.deepEqual(listed('qemu:dirty-bitmap:b0', 'base:other'), nothing);
  });

  it('needs structured replies, a known export, colons, and few queries', () => {
    const structured = option(STRUCTURED);
    assertError(LIST_META, INVALID, meta(LIST_META, 'vol0'));
    assertError(LIST_META, UNKNOWN, structured, meta(LIST_META, 'vol'));
    assertError(LIST_META, INVALID, structured, meta(LIST_META, 'vol0', 'base'));
    assertError(LIST_META, INVALID, structured, meta(LIST_META, 'vol0', ':allocation'));
    const many = Array<string>(META_QUERIES_MAX + 1).fill('a:b');
    assertError(LIST_META, TOO_BIG, structured, meta(LIST_META, 'vol0', ...many));
    assert.deepEqual(listed(...many.slice(1)), nothing);
  });
});

describe('NBD_OPT_SET_META_CONTEXT', () => {
  const structured = option(STRUCTURED);
  const select = meta(SET_META, 'vol0', 'base:allocation');

  function contexts(...options: readonly Buffer[]): readonly object[] {
    return sessionOf(structured, ...options).metaContexts;
  }

  it('selects contexts by their full name, each with an id of its own', () => {
    assert.deepEqual(
      answers(structured, meta(SET_META, 'vol0', 'x-blkferry:age', 'base:allocation')),
      bytes(
        optionReply(STRUCTURED, ACK),
        optionReply(SET_META, META, u32(1), 'base:allocation'),
        optionReply(SET_META, META, u32(2), 'x-blkferry:age'),
        optionReply(SET_META, ACK),
      ),
    );
    assert.deepEqual(contexts(select, go(GO, 'vol0')), [{ id: 1, name: 'base:allocation' }]);
  });

  it('selects nothing by a bare namespace, by an unknown name, or without queries', () => {
    for (const queries of [['base:'], ['base:other', 'qemu:x'], []]) {
      assert.deepEqual(
        answers(structured, meta(SET_META, 'vol0', ...queries)).subarray(20),
        optionReply(SET_META, ACK),
      );
    }
  });

  it('replaces an earlier selection, also when it fails', () => {
    assert.deepEqual(contexts(select, meta(SET_META, 'vol0'), go(GO, 'vol0')), []);
    assert.deepEqual(contexts(select, option(SET_META, 'junk'), go(GO, 'vol0')), []);
    assert.deepEqual(contexts(select, meta(SET_META, 'vol'), go(GO, 'vol0')), []);
  });

  it('holds only for the export it named, under whichever name', () => {
    assert.deepEqual(contexts(select, go(GO, PLAIN_VOLUME.name)), []);
    assert.equal(contexts(meta(SET_META, '', 'base:allocation'), go(GO, 'vol0')).length, 1);
  });

  it('survives an INFO and the step from structured to extended replies', () => {
    const chosen = contexts(select, go(INFO, PLAIN_VOLUME.name), option(EXTENDED), go(GO, 'vol0'));
    assert.deepEqual(chosen, [{ id: 1, name: 'base:allocation' }]);
  });

  it('is refused without structured replies, with extended headers it is not', () => {
    assertError(SET_META, INVALID, select);
    assert.equal(sessionOf(option(EXTENDED), select, go(GO, 'vol0')).metaContexts.length, 1);
  });

  const broken: Record<string, Buffer> = {
    'more queries than data': option(SET_META, text('vol0'), u32(2), text('a:b')),
    'a query longer than the data': option(SET_META, text('vol0'), u32(1), u32(9), 'a:b'),
    'bytes behind the last query': option(SET_META, text('vol0'), u32(0), 'x'),
    'a query that is not UTF-8': option(SET_META, text('vol0'), u32(1), u32(2), hex('fffe')),
    'a query of 4097 bytes': meta(SET_META, 'vol0', `a:${'b'.repeat(4095)}`),
  };
  for (const [what, wire] of Object.entries(broken)) {
    it(`with ${what} gets ERR_INVALID`, () => {
      assertError(SET_META, INVALID, structured, wire);
    });
  }
});
