/**
 * Holes in reply frames: what they are on the wire, written by protobufjs too, and what of them is refused.
 *
 *   a read   |0000|dddd|0000|dddddd|      length [4, 4]   data [0, 4]   payload_length 10
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DONE, joined, payloadBytes, type BlockResult } from '#daemon/block/block-request.js';
import { REQUEST_BYTES_MAX } from '#daemon/block/device-facts.js';
import { isZeroPiece, zeroPiece } from '#daemon/block/zeroes.js';
import { HOLES_PER_BATCH_MAX } from '#daemon/rpc/reply-decoding.js';
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
        holes: [
          { index: 1, data: [0, 4], length: [4, 4] },
          { index: 3, data: [0], length: [1024 * 1024] },
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
    // holes { data: 1 (unpacked), length: 3 (unpacked) }, index 0 left out
    const holes = Buffer.from('420a15010000001d03000000', 'hex');
    const frame = Buffer.concat([plain, holes]);
    frame[1] = frame.length - 2;
    assert.equal(joined(read(frame)[0]?.payload ?? []).toString(), '0\0\0\x00123');
  });
});

describe('holes that cannot be', () => {
  const one = { sequence: [1], error: [0], payloadLength: [4], payload: DATA.subarray(0, 4) };
  const noRead = /holes that no read can have/;
  const cases: [string, object, RegExp][] = [
    ['of no length', { ...one, holes: [{ data: [0], length: [0] }] }, noRead],
    ['behind more data than there is', { ...one, holes: [{ data: [5], length: [1] }] }, noRead],
    [
      'behind more data than there is, together',
      { ...one, holes: [{ data: [3, 2], length: [1, 1] }] },
      noRead,
    ],
    [
      'longer than any read, with its data',
      { ...one, holes: [{ data: [0], length: [REQUEST_BYTES_MAX - 3] }] },
      noRead,
    ],
    [
      'longer than any read together',
      { ...one, holes: [{ data: [0, 0], length: [2 ** 32 - 1, 2 ** 32 - 1] }] },
      noRead,
    ],
    ['without a length', { ...one, holes: [{ data: [0], length: [] }] }, /do not fit its replies/],
    ['that are none', { ...one, holes: [{ data: [], length: [] }] }, /do not fit its replies/],
    ['of no reply', { ...one, holes: [{ index: 1, data: [0], length: [1] }] }, /do not fit/],
    [
      'told twice',
      {
        ...one,
        holes: [
          { data: [0], length: [1] },
          { data: [0], length: [1] },
        ],
      },
      /do not fit its replies/,
    ],
    [
      'of a request that failed',
      { sequence: [1], error: [5], payloadLength: [0], holes: [{ data: [0], length: [1] }] },
      /an error with a payload/,
    ],
    [
      'more than a batch may have',
      { ...one, holes: [manyHoles(HOLES_PER_BATCH_MAX + 1)] },
      /holds 16385 holes, more than 16384/,
    ],
  ];
  for (const [what, batch, sentence] of cases) {
    it(`are refused: ${what}`, () => {
      assert.throws(() => decodeNodeFrame(naive(batch)), refusal('invalid', sentence));
    });
  }

  it('have neighbours that can be', () => {
    const bytesRead = (holes: object): number =>
      payloadBytes(read(naive({ ...one, holes: [holes] }))[0]?.payload ?? []);
    assert.equal(bytesRead({ data: [4], length: [1] }), 5);
    assert.equal(bytesRead({ data: [0], length: [REQUEST_BYTES_MAX - 4] }), REQUEST_BYTES_MAX);
    assert.equal(bytesRead(manyHoles(HOLES_PER_BATCH_MAX)), HOLES_PER_BATCH_MAX + 4);
  });

  function manyHoles(count: number): object {
    return { data: new Array<number>(count).fill(0), length: new Array<number>(count).fill(1) };
  }
});
