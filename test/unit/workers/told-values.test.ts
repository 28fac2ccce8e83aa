/** What passes between threads is the same on the other side: errors with class, errno and kind, data without what lies around it. */
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
import { StorageError } from '#daemon/rpc/storage-error.js';
import { heardError, toldError } from '#daemon/workers/told-error.js';
import { toldLog } from '#daemon/workers/told-log.js';
import {
  heardRequest,
  heardResult,
  toldRequest,
  toldResult,
  transferred,
} from '#daemon/workers/told-request.js';
import type { FromWorker } from '#daemon/workers/worker-messages.js';

describe('errors as values', () => {
  it('keep errno and sentence of a failed request', () => {
    const error = heardError(
      structuredClone(toldError(new BlockError('ENOSPC', 'the disk is full'))),
    );
    assert.ok(error instanceof BlockError);
    assert.deepEqual([error.errno, error.reason], ['ENOSPC', 'the disk is full']);
  });

  it('keep kind and sentence of a failed call', () => {
    const error = heardError(structuredClone(toldError(new StorageError('fenced', 'taken over'))));
    assert.ok(error instanceof StorageError);
    assert.deepEqual([error.kind, error.message], ['fenced', 'taken over']);
  });

  it('keep the code of one of the system, and the words of anything else', () => {
    const error = heardError(toldError(Object.assign(new Error('no file'), { code: 'ENOENT' })));
    assert.deepEqual([(error as NodeJS.ErrnoException).code, error.message], ['ENOENT', 'no file']);
    assert.equal(heardError(toldError('what')).message, 'what');
  });

  it('are in log records as the log shows errors', () => {
    const said: FromWorker[] = [];
    const log = toldLog((message) => said.push(structuredClone(message)));
    const error = new StorageError('unavailable', 'away');
    log.warn({ event: 'release_failed', error }, 'not given up');
    const { name, message, stack } = error;
    assert.deepEqual(said, [
      {
        kind: 'log',
        level: 'warn',
        fields: { event: 'release_failed', error: { name, message, stack } },
        message: 'not given up',
      },
    ]);
  });
});

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
