/**
 * Holes in reply frames: what they are on the wire, written by protobufjs too, and what of them is refused.
 *
 *   a read   |0000|dddd|0000|dddddd|      length [4, 4, 4, 6]   state [2, 0, 2, 0]   payload_length 10
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DONE, joined, payloadBytes, type BlockResult } from '#daemon/block/block-request.js';
import { REQUEST_BYTES_MAX } from '#daemon/block/device-facts.js';
import { isZeroPiece, zeroPiece } from '#daemon/block/zeroes.js';
import { READ_EXTENTS_PER_BATCH_MAX } from '#daemon/rpc/reply-decoding.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { decodeNodeFrame, decodeNodePieces, encodeNodeFrame } from '#daemon/rpc/storage-frame.js';
import type { ReplyBatchFrame } from '#daemon/rpc/storage-messages.js';
import { NODE, bytesOf } from '#test/support/frame-bytes.js';
import { refusal } from '#test/support/storage-refusal.js';

const DATA = Buffer.from('0123456789');
const SPARSE: BlockResult = {
  ...DONE,
  payload: [zeroPiece(4), DATA.subarray(0, 4), zeroPiece(4), DATA.subarray(4)],
};
const WHOLE_HOLE: BlockResult = { ...DONE, payload: [zeroPiece(1024 * 1024)] };
const PLAIN: BlockResult = { ...DONE, payload: [Buffer.from('plain')] };

function framed(results: BlockResult[], leavesHolesOut: boolean, seal?: number): ReplyBatchFrame {
  const sequences = results.map((_, index) => index + 1);
  return { kind: 'replies', sequences, results, writeVerifier: 7n, leavesHolesOut, seal };
}

/** As protobufjs writes it from plain values. */
function naive(replies: object): Buffer {
  return Buffer.from(NODE.encode(NODE.fromObject({ replies })).finish());
}

function read(frame: Buffer): BlockResult[] {
  const decoded = decodeNodeFrame(frame);
  assert.ok(decoded.kind === 'replies');
  return [...decoded.results];
}

describe('holes of reads', () => {
  const results = [PLAIN, SPARSE, DONE, WHOLE_HOLE];

  it('go as lengths to a client that takes them, byte for byte as protobufjs writes them', () => {
    const bytes = bytesOf(encodeNodeFrame(framed(results, true)));
    assert.deepEqual(
      bytes,
      naive({
        sequence: [1, 2, 3, 4],
        error: [0, 0, 0, 0],
        payloadLength: [5, 10, 0, 0],
        writeVerifier: 7,
        readExtents: [
          { index: 1, length: [4, 4, 4, 6], state: [2, 0, 2, 0] },
          { index: 3, length: [1024 * 1024], state: [2] },
        ],
        payload: Buffer.concat([Buffer.from('plain'), DATA]),
      }),
    );
  });

  it('go as zeroes to any other', () => {
    const bytes = bytesOf(encodeNodeFrame(framed([PLAIN, SPARSE], false)));
    const data = Buffer.concat([PLAIN, SPARSE].flatMap(({ payload }) => payload));
    const [sequence, error] = [
      [1, 2],
      [0, 0],
    ];
    assert.deepEqual(
      bytes,
      naive({ sequence, error, payloadLength: [5, 18], writeVerifier: 7, payload: data }),
    );
  });

  it('come back as zeroes that are there already, around data that is a view', () => {
    const bytes = bytesOf(encodeNodeFrame(framed(results, true)));
    const received = read(bytes);
    assert.deepEqual(
      received.map(({ payload }) => payloadBytes(payload)),
      [5, 18, 0, 1024 * 1024],
    );
    const [, sparse, , hole] = received;
    assert.deepEqual(sparse?.payload.map(isZeroPiece), [true, false, true, false]);
    assert.equal(sparse?.payload[1]?.buffer, bytes.buffer);
    assert.equal(joined(sparse?.payload ?? []).toString(), '\0\0\0\x000123\0\0\0\x00456789');
    assert.deepEqual(hole?.payload.map(isZeroPiece), [true]);
  });

  it('are the same in a frame that comes in two pieces, wherever it is cut', () => {
    const bytes = bytesOf(encodeNodeFrame(framed(results, true, 99)));
    for (let at = 1; at < bytes.length; at += 1) {
      const decoded = decodeNodePieces([bytes.subarray(0, at), bytes.subarray(at)]);
      assert.ok(decoded.kind === 'replies');
      assert.equal(decoded.seal, 99);
      assert.deepEqual(
        decoded.results.map(({ payload }) => joined(payload)),
        results.map(({ payload }) => joined(payload)),
      );
    }
  });

  it('are refused with a sentence when the frame ends early, wherever', () => {
    const bytes = bytesOf(encodeNodeFrame(framed(results, true)));
    for (let end = 0; end < bytes.length; end += 1)
      assert.throws(() => decodeNodeFrame(bytes.subarray(0, end)), StorageError, `${end}`);
  });

  it('are understood in other forms of protobuf: unpacked, and behind the payload', () => {
    const plain = naive({
      ...{ sequence: [1], error: [0], payloadLength: [4], payload: DATA.subarray(0, 4) },
    });
    // read_extents { length: 1, 3, 3 (unpacked), state: 0, 2, 0 (unpacked) }, index 0 left out
    const lengths = [1, 3, 3].map((length) => `110${length}00000000000000`).join('');
    const extents = Buffer.from(`4221${lengths}180018021800`, 'hex');
    const frame = Buffer.concat([plain, extents]);
    frame[1] = frame.length - 2;
    assert.equal(joined(read(frame)[0]?.payload ?? []).toString(), '0\0\0\x00123');
  });
});

describe('holes that cannot be', () => {
  const misfit = /a read whose extents do not fit it/;
  const cases: [string, object, RegExp][] = [
    ['of no length', batchOf({ length: [4, 0], state: [0, 2] }), /an extent of 0 bytes in state 2/],
    ['among more data than there is', batchOf({ length: [5, 1], state: [0, 2] }), misfit],
    ['among less data than there is', batchOf({ length: [3, 1], state: [0, 2] }), misfit],
    ['without the data', batchOf({ length: [8], state: [2] }), misfit],
    [
      'longer than any read',
      batchOf({ length: [4, REQUEST_BYTES_MAX - 3], state: [0, 2] }),
      misfit,
    ],
    [
      'longer than any read together',
      batchOf({ length: [4, 2 ** 52, 2 ** 52], state: [0, 2, 2] }),
      misfit,
    ],
    ['without a state', batchOf({ length: [4, 1], state: [0] }), /differ in number/],
    ['that are none', batchOf({ length: [], state: [] }), /differ in number/],
    ['in an unknown state', batchOf({ length: [4, 1], state: [0, 6] }), /in state 6/],
    ['of no reply', batchOf({ index: 1, length: [4], state: [0] }), /do not fit its replies/],
    [
      'told twice',
      batchOf({ length: [4], state: [0] }, { length: [4], state: [0] }),
      /do not fit its replies/,
    ],
    [
      'of a request that failed',
      {
        ...{ sequence: [1], error: [5], payloadLength: [0] },
        readExtents: [{ length: [1], state: [2] }],
      },
      /an error with a payload/,
    ],
    [
      'more than a batch may have',
      batchOf(manyHoles(READ_EXTENTS_PER_BATCH_MAX)),
      /have more than 16384 extents/,
    ],
  ];
  for (const [what, batch, sentence] of cases) {
    it(`are refused: ${what}`, () => {
      assert.throws(() => decodeNodeFrame(naive(batch)), refusal('invalid', sentence));
    });
  }

  it('have neighbours that can be', () => {
    const bytesRead = (extents: object): number =>
      payloadBytes(read(naive(batchOf(extents)))[0]?.payload ?? []);
    assert.equal(bytesRead({ length: [4, 1], state: [0, 2] }), 5);
    assert.equal(bytesRead({ length: [4], state: [0] }), 4);
    assert.equal(
      bytesRead({ length: [4], state: [1] }),
      4,
      'not allocated, and not said to be zero',
    );
    assert.equal(
      bytesRead({ length: [REQUEST_BYTES_MAX - 4, 4], state: [3, 0] }),
      REQUEST_BYTES_MAX,
    );
    assert.equal(
      bytesRead(manyHoles(READ_EXTENTS_PER_BATCH_MAX - 1)),
      READ_EXTENTS_PER_BATCH_MAX + 3,
    );
  });
});

/** A batch of one read with four bytes of data. */
function batchOf(...readExtents: readonly object[]): object {
  const data = DATA.subarray(0, 4);
  return { sequence: [1], error: [0], payloadLength: [4], payload: data, readExtents };
}

/** Four bytes of data, and so many holes of one byte. */
function manyHoles(count: number): object {
  return {
    length: [4, ...new Array<number>(count).fill(1)],
    state: [0, ...new Array<number>(count).fill(2)],
  };
}
