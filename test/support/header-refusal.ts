/** What a header block is refused with, and what a decoder remembers. */
import assert from 'node:assert/strict';
import type { HeaderDecoder } from '#daemon/http2/header-decoding.js';
import { Http2Error, type Http2ErrorCode } from '#daemon/http2/http2-error.js';
import type { Field } from './hpack-appendices.js';
import { indexed } from './hpack-bytes.js';

/** The first index of the dynamic table. */
const FIRST_INDEX = 62;

/** For assert.throws. */
export function broken(sentence: RegExp, code: Http2ErrorCode = 'COMPRESSION_ERROR') {
  return (error: unknown): true => {
    assert.ok(error instanceof Http2Error, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, sentence);
    return true;
  };
}

/** The dynamic table, the newest entry first: asked for index by index, until the first that is not there. */
export function remembered(decoder: HeaderDecoder): Field[] {
  const entries: Field[] = [];
  for (;;) {
    const index = FIRST_INDEX + entries.length;
    try {
      entries.push(...decoder.decode(indexed(index)));
    } catch (error) {
      broken(new RegExp(`field ${index} of its tables, which is not there`))(error);
      return entries;
    }
  }
}
