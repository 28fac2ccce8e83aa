/**
 * Reads over holes, the whole way that their data takes: random data in a file, read by the backend, as a frame, as what
 * the daemon makes of it, against a buffer that does the same. And whatever was read, zeroes are zeroes afterwards.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import fc from 'fast-check';
import { submitAsync } from '#daemon/block/block-device.js';
import { joined, rangeRequest, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { REQUEST_BYTES_MAX } from '#daemon/block/device-facts.js';
import { zeroPiece } from '#daemon/block/zeroes.js';
import { decodeNodePieces, encodeNodeFrame } from '#daemon/rpc/storage-frame.js';
import type { ReplyBatchFrame } from '#daemon/rpc/storage-messages.js';
import { FileBackend } from '#daemon/storage-node/backend/file/file-backend.js';
import { bytesOf } from '#test/support/frame-bytes.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const BLOCK = 512;
const SIZE_BYTES = 4 * 1024 * 1024;
const BLOCKS = SIZE_BYTES / BLOCK;
const root = temporaryFolder();
let folders = 0;

/** Lengths of some blocks to a whole MiB. */
const range = fc
  .tuple(
    fc.nat(BLOCKS - 1),
    fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 100, max: 2048 })),
  )
  .map(([first, count]) => ({
    offset: first * BLOCK,
    length: Math.min(count, BLOCKS - first) * BLOCK,
  }));

const step = fc.record({
  kind: fc.constantFrom('write', 'write', 'write-zeroes', 'read', 'read', 'read'),
  range,
  fill: fc.integer({ min: 1, max: 255 }),
  leavesHolesOut: fc.boolean(),
  cut: fc.nat(2 ** 20),
});

it('reads over holes are what a buffer reads, from the file to the daemon', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
      folders += 1;
      const folder = path.join(root, String(folders));
      fs.mkdirSync(folder);
      const identity = { volumeId: 'v', sizeBytes: SIZE_BYTES, blockBytes: BLOCK };
      const backend = new FileBackend();
      await backend.create(identity, folder);
      const device = await backend.open(identity, folder);
      const model = Buffer.alloc(SIZE_BYTES);
      for (const { kind, fill, leavesHolesOut, cut, ...one } of steps) {
        const { offset, length } = one.range;
        if (kind === 'write') {
          await submitAsync(device, writeRequest(offset, Buffer.alloc(length, fill)));
          model.fill(fill, offset, offset + length);
        } else if (kind === 'write-zeroes') {
          await submitAsync(device, rangeRequest(kind, offset, length));
          model.fill(0, offset, offset + length);
        } else {
          const result = await submitAsync(device, readRequest(offset, length));
          const frame: ReplyBatchFrame = {
            ...{ kind: 'replies', sequences: [1], results: [result], writeVerifier: 0n },
            leavesHolesOut,
          };
          const bytes = Buffer.from(bytesOf(encodeNodeFrame(frame)));
          // From here on others may read into it.
          device.reclaim?.(result.payload);
          const at = cut % bytes.length;
          const pieces = at === 0 ? [bytes] : [bytes.subarray(0, at), bytes.subarray(at)];
          const received = decodeNodePieces(pieces);
          assert.ok(received.kind === 'replies');
          const data = joined(received.results[0]?.payload ?? []);
          assert.equal(Buffer.compare(data, model.subarray(offset, offset + length)), 0);
        }
      }
      await device.close();
      fs.rmSync(folder, { recursive: true });
    }),
    { numRuns: 100 },
  );
  assert.equal(zeroPiece(REQUEST_BYTES_MAX).compare(Buffer.alloc(REQUEST_BYTES_MAX)), 0);
});
