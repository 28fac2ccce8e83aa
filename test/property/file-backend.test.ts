/** The file backend against a buffer that does the same, over random requests. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import fc from 'fast-check';
import { submitAsync } from '#daemon/block/block-device.js';
import {
  BLOCK_FLAG,
  flushRequest,
  joined,
  rangeRequest,
  readRequest,
  writeRequest,
} from '#daemon/block/block-request.js';
import { FileBackend } from '#daemon/storage-node/backend/file/file-backend.js';
import { ChangingPace } from '#test/support/slow-pace.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const BLOCK = 512;
const BLOCKS = 512;
const root = temporaryFolder();
let folders = 0;

const range = fc
  .tuple(fc.nat(BLOCKS - 1), fc.integer({ min: 1, max: 64 }))
  .map(([first, count]) => ({
    offset: first * BLOCK,
    length: Math.min(count, BLOCKS - first) * BLOCK,
  }));

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      range,
      fill: fc.integer({ min: 1, max: 255 }),
      fua: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('zero' as const), range, noHole: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('read' as const), range }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('trim' as const), range }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('status' as const), range }) },
);

const steps40 = fc.array(step, { minLength: 1, maxLength: 40 });

it('the file backend has the content that a buffer has after the same requests', async () => {
  await fc.assert(
    fc.asyncProperty(steps40, fc.boolean(), async (steps, isPaced) => {
      folders += 1;
      const folder = path.join(root, String(folders));
      fs.mkdirSync(folder);
      const identity = { volumeId: 'v', sizeBytes: BLOCK * BLOCKS, blockBytes: BLOCK };
      // By turns here and on other threads.
      let turn = 0;
      const pace = new ChangingPace(() => (turn += 1) % 3 !== 0);
      const backend = new FileBackend(isPaced ? { pace } : {});
      await backend.create(identity, folder);
      let device = await backend.open(identity, folder);
      const model = Buffer.alloc(identity.sizeBytes);
      for (const one of steps) {
        if (one.kind === 'write') {
          const { offset, length } = one.range;
          await submitAsync(
            device,
            writeRequest(offset, Buffer.alloc(length, one.fill), one.fua ? BLOCK_FLAG.FUA : 0),
          );
          model.fill(one.fill, offset, offset + length);
        } else if (one.kind === 'zero') {
          const { offset, length } = one.range;
          await submitAsync(
            device,
            rangeRequest('write-zeroes', offset, length, one.noHole ? BLOCK_FLAG.NO_HOLE : 0),
          );
          model.fill(0, offset, offset + length);
        } else if (one.kind === 'trim') {
          // What it leaves is not specified, but from then on it stays.
          const { offset, length } = one.range;
          await submitAsync(device, rangeRequest('trim', offset, length));
          const { payload } = await submitAsync(device, readRequest(offset, length));
          joined(payload).copy(model, offset);
        } else if (one.kind === 'flush') {
          await submitAsync(device, flushRequest());
        } else if (one.kind === 'reopen') {
          await device.close();
          device = await backend.open(identity, folder);
        } else if (one.kind === 'read') {
          const { offset, length } = one.range;
          const { payload } = await submitAsync(device, readRequest(offset, length));
          assert.equal(Buffer.compare(joined(payload), model.subarray(offset, offset + length)), 0);
        } else {
          const { offset, length } = one.range;
          const { extents } = await submitAsync(
            device,
            rangeRequest('block-status', offset, length),
          );
          let at = offset;
          for (const { lengthBytes, zero } of extents) {
            if (zero)
              assert.ok(
                model.subarray(at, at + lengthBytes).every((byte) => byte === 0),
                'data called zero',
              );
            at += lengthBytes;
          }
          assert.equal(at, offset + length);
        }
      }
      const { payload } = await submitAsync(device, readRequest(0, identity.sizeBytes));
      assert.equal(Buffer.compare(joined(payload), model), 0);
      await device.close();
    }),
    { numRuns: 60 },
  );
});
