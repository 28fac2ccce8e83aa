/** The error codes of RFC 9113, section 7: there they are numbered without a gap. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HTTP2_ERROR_NUMBER, Http2Error, http2ErrorName } from '#daemon/http2/http2-error.js';

describe('the error codes of HTTP/2', () => {
  it('are the numbers of RFC 9113', () => {
    assert.deepEqual(Object.entries(HTTP2_ERROR_NUMBER), [
      ['NO_ERROR', 0],
      ['PROTOCOL_ERROR', 1],
      ['INTERNAL_ERROR', 2],
      ['FLOW_CONTROL_ERROR', 3],
      ['SETTINGS_TIMEOUT', 4],
      ['STREAM_CLOSED', 5],
      ['FRAME_SIZE_ERROR', 6],
      ['REFUSED_STREAM', 7],
      ['CANCEL', 8],
      ['COMPRESSION_ERROR', 9],
      ['CONNECT_ERROR', 10],
      ['ENHANCE_YOUR_CALM', 11],
      ['INADEQUATE_SECURITY', 12],
      ['HTTP_1_1_REQUIRED', 13],
    ]);
  });

  it('have names in messages, and those that are unknown their number', () => {
    for (const [name, number] of Object.entries(HTTP2_ERROR_NUMBER))
      assert.equal(http2ErrorName(number), name);
    assert.equal(http2ErrorName(14), 'error code 0xe');
    assert.equal(http2ErrorName(2 ** 32 - 1), 'error code 0xffffffff');
  });

  it('are what an error carries beside its sentence', () => {
    const error = new Http2Error('FRAME_SIZE_ERROR', 'a frame is too long');
    assert.ok(error instanceof Error);
    assert.equal(error.code, 'FRAME_SIZE_ERROR');
    assert.equal(String(error), 'Http2Error: a frame is too long');
  });
});
