/** Frames as bytes, and the two frame messages as protobufjs sees them. */
import assert from 'node:assert/strict';
import type { BlockRequest } from '#daemon/block/block-request.js';
import { lookupType } from '#daemon/rpc/proto-root.js';
import type { RequestBatchFrame } from '#daemon/rpc/storage-messages.js';

export const CLIENT = lookupType('blkferry.storage.v1.ClientFrame');
export const NODE = lookupType('blkferry.storage.v1.NodeFrame');

/** What grpc-js would put on the wire, written as it does: behind five bytes of its own. */
export function bytesOf(lazy: {
  byteLength: number;
  length: number;
  copy(target: Buffer, at: number): number;
}): Buffer {
  assert.equal(lazy.length, lazy.byteLength);
  const target = Buffer.alloc(lazy.byteLength + 5, 0xee);
  assert.equal(lazy.copy(target, 5), lazy.byteLength);
  assert.deepEqual(target.subarray(0, 5), Buffer.alloc(5, 0xee));
  return target.subarray(5);
}

export function requestFrame(requests: BlockRequest[], seal?: number): RequestBatchFrame {
  return {
    kind: 'requests',
    sequences: requests.map((_, index) => index * 3 + 1),
    requests,
    ...(seal === undefined ? {} : { seal }),
  };
}
