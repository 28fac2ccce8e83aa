/** Requests that pass between threads: their data comes along without what lies around it, and holes stay holes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import {
  BLOCK_FLAG,
  DONE,
  failed,
  flushRequest,
  joined,
  writeRequest,
} from '#daemon/block/block-request.js';
import { isZeroPiece, zeroPiece } from '#daemon/block/zeroes.js';
import {
  heardRequest,
  heardResult,
  toldRequest,
  toldResult,
  transferred,
} from '#daemon/threads/told-request.js';

describe('requests as values', () => {
  it('carry their data in memory of their own, in one piece', () => {
    const around = Buffer.alloc(4096, 9);
    const pieces = [around.subarray(10, 110), around.subarray(500, 912)];
    const told = toldRequest(7, writeRequest(8192, pieces, BLOCK_FLAG.FUA));
    const memory = transferred([told]);
    assert.deepEqual(
      memory.map(({ byteLength }) => byteLength),
      [512],
    );
    const heard = heardRequest(structuredClone(told, { transfer: memory }));
    assert.equal(memory[0]?.byteLength, 0, 'it is the other thread’s now');
    assert.equal(around[10], 9, 'and what lay around it is not');
    assert.deepEqual(joined(heard.payload), Buffer.alloc(512, 9));
    const { requestId, kind, offsetBytes, lengthBytes, flags } = heard;
    assert.deepEqual(
      [requestId, kind, offsetBytes, lengthBytes, flags],
      [7, 'write', 8192, 512, 1],
    );
  });

  it('have nothing to carry where there is no data', () => {
    const told = toldRequest(1, flushRequest());
    assert.deepEqual(transferred([told]), []);
    assert.deepEqual(heardRequest(told).payload, []);
  });

  it('keep holes as holes, in their places', () => {
    const payload = [
      zeroPiece(512),
      zeroPiece(1024),
      Buffer.alloc(2, 7),
      Buffer.alloc(1, 8),
      zeroPiece(5),
    ];
    const told = toldResult(1, { ...DONE, payload });
    assert.equal(transferred([told]).length, 1);
    const heard = heardResult(structuredClone(told, { transfer: transferred([told]) })).payload;
    assert.deepEqual(heard.map(isZeroPiece), [true, false, true]);
    assert.deepEqual(joined(heard), joined(payload));
  });

  it('have results with data, extents or an error', () => {
    const extents = [{ lengthBytes: 512, hole: true, zero: true }];
    const payload = [Buffer.alloc(3, 1), Buffer.alloc(2, 2)];
    const back = heardResult(
      structuredClone(toldResult(5, { error: undefined, payload, extents })),
    );
    assert.deepEqual(joined(back.payload), Buffer.from([1, 1, 1, 2, 2]));
    assert.deepEqual(back.extents, extents);
    const { error } = heardResult(toldResult(5, failed(new BlockError('EPERM', 'read-only'))));
    assert.deepEqual([error?.errno, error?.reason], ['EPERM', 'read-only']);
  });
});
