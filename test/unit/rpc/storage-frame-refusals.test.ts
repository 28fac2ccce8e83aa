/**
 * Frames that are wrong, and the limits: refused with a StorageError 'invalid' and a sentence, whatever the
 * peer did; just inside the limit they are accepted.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BlockError } from '#daemon/block/block-error.js';
import {
  DONE,
  failed,
  flushRequest,
  rangeRequest,
  readRequest,
  writeRequest,
} from '#daemon/block/block-request.js';
import { letGo, takeSlab } from '#daemon/runtime/reused-memory.js';
import { REQUESTS_PER_BATCH_MAX } from '#daemon/rpc/batch-columns.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import {
  decodeClientFrame,
  decodeNodeFrame,
  encodeClientFrame,
  encodeNodeFrame,
} from '#daemon/rpc/storage-frame.js';
import { CLIENT, NODE, bytesOf, requestFrame } from '#test/support/frame-bytes.js';
import { refusal } from '#test/support/storage-refusal.js';

const LARGEST = Number.MAX_SAFE_INTEGER;

describe('a frame that is wrong', () => {
  const good = bytesOf(
    encodeClientFrame(
      requestFrame([writeRequest(0, Buffer.alloc(20, 1)), readRequest(0, 512), flushRequest()], 7),
    ),
  );
  const goodReply = bytesOf(
    encodeNodeFrame({
      kind: 'replies',
      sequences: [1, 2],
      results: [{ ...DONE, payload: [Buffer.alloc(9)] }, failed(new BlockError('EIO', 'x'))],
      writeVerifier: 3n,
      seal: 9,
    }),
  );

  function onlyStorageErrors(decode: (bytes: Buffer) => unknown, bytes: Buffer): void {
    try {
      decode(bytes);
    } catch (error) {
      assert.ok(error instanceof StorageError, String(error));
      assert.equal(error.kind, 'invalid');
    }
  }

  it('is not written when the data of a write was let go of too early, and so is missing', () => {
    const data = takeSlab(512);
    const frame = requestFrame([writeRequest(0, Buffer.alloc(20)), writeRequest(512, data)]);
    letGo(data);
    assert.throws(() => encodeClientFrame(frame), /a write of 512 bytes carries 0 bytes/);
  });

  it('is refused with a sentence when it is cut at any byte', () => {
    /** Cut there a frame is whole, and lacks the checksum that the session asks for. */
    const withoutSeal = (frame: Buffer): number => frame.length - 5;
    assert.equal(decodeClientFrame(good.subarray(0, withoutSeal(good))).seal, undefined);
    assert.equal(decodeNodeFrame(goodReply.subarray(0, withoutSeal(goodReply))).seal, undefined);
    for (let bytes = 0; bytes < good.length; bytes += 1) {
      if (bytes === withoutSeal(good)) continue;
      assert.throws(
        () => decodeClientFrame(good.subarray(0, bytes)),
        StorageError,
        `cut at ${bytes}`,
      );
    }
    for (let bytes = 0; bytes < goodReply.length; bytes += 1) {
      if (bytes === withoutSeal(goodReply)) continue;
      assert.throws(
        () => decodeNodeFrame(goodReply.subarray(0, bytes)),
        StorageError,
        `cut at ${bytes}`,
      );
    }
  });

  it('never does anything but that, whichever bits are changed', () => {
    for (const [decode, bytes] of [
      [decodeClientFrame, good],
      [decodeNodeFrame, goodReply],
    ] as const) {
      for (let at = 0; at < bytes.length; at += 1) {
        for (const value of [0, 0x7f, 0x80, 0xff]) {
          const changed = Buffer.from(bytes);
          changed[at] = value;
          onlyStorageErrors(decode, changed);
        }
      }
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        onlyStorageErrors(decodeClientFrame, Buffer.from(bytes));
        onlyStorageErrors(decodeNodeFrame, Buffer.from(bytes));
      }),
      { numRuns: 2000 },
    );
  });

  const refusals: [string, object, RegExp][] = [
    [
      'columns of different length',
      { sequence: [1, 2], operation: [1], offset: [0], length: [1] },
      /differ in length/,
    ],
    [
      'an unknown operation',
      { sequence: [1], operation: [99], offset: [0], length: [1] },
      /operation 0x63, which is unknown/,
    ],
    [
      'an unknown flag',
      { sequence: [1], operation: [1 + 16 * 256], offset: [0], length: [1] },
      /is unknown/,
    ],
    [
      'a payload shorter than its writes',
      { sequence: [1], operation: [2], offset: [0], length: [10], payload: Buffer.alloc(9) },
      /longer than its payload/,
    ],
    [
      'a payload longer than its writes',
      { sequence: [1], operation: [2], offset: [0], length: [10], payload: Buffer.alloc(11) },
      /longer than its writes/,
    ],
    [
      'an offset beyond 2^53',
      { sequence: [1], operation: [1], offset: ['9007199254740992'], length: [10] },
      /beyond 2\^53/,
    ],
    ['too many requests', { sequence: new Array(16_385).fill(1) }, /more than 16384/],
  ];
  for (const [what, batch, sentence] of refusals) {
    it(`is refused for ${what}`, () => {
      const bytes = Buffer.from(CLIENT.encode(CLIENT.fromObject({ requests: batch })).finish());
      assert.throws(() => decodeClientFrame(bytes), refusal('invalid', sentence));
    });
  }

  const replyRefusals: [string, object, RegExp][] = [
    [
      'replies whose columns differ in length',
      { sequence: [1, 2], error: [0, 0], payloadLength: [0] },
      /differ in length/,
    ],
    [
      'an error with a payload',
      { sequence: [1], error: [5], payloadLength: [3], payload: Buffer.alloc(3) },
      /an error with a payload/,
    ],
    [
      'reads longer than the payload',
      { sequence: [1], error: [0], payloadLength: [4], payload: Buffer.alloc(3) },
      /longer than its payload/,
    ],
    [
      'a payload longer than the reads',
      { sequence: [1], error: [0], payloadLength: [2], payload: Buffer.alloc(3) },
      /longer than its reads/,
    ],
    [
      'extents of no reply',
      {
        sequence: [1],
        error: [0],
        payloadLength: [0],
        extents: [{ index: 1, length: [1], state: [0] }],
      },
      /do not fit its replies/,
    ],
    [
      'extents without states',
      { sequence: [1], error: [0], payloadLength: [0], extents: [{ length: [1] }] },
      /differ in number/,
    ],
    [
      'an extent in a state that is unknown',
      { sequence: [1], error: [0], payloadLength: [0], extents: [{ length: [1], state: [4] }] },
      /extent of 1 bytes in state 4/,
    ],
  ];
  for (const [what, batch, sentence] of replyRefusals) {
    it(`is refused for ${what}`, () => {
      const bytes = Buffer.from(NODE.encode(NODE.fromObject({ replies: batch })).finish());
      assert.throws(() => decodeNodeFrame(bytes), refusal('invalid', sentence));
    });
  }

  for (const [what, bytes, sentence] of [
    ['no body', Buffer.alloc(0), /without a known body/],
    ['only unknown fields', Buffer.from([0x48, 1]), /without a known body/],
    ['field number 0', Buffer.from([0x00, 0x12, 0]), /field number 0/],
    ['a wire type that there is not', Buffer.from([0x4b, 0]), /wire type 3/],
    ['a length beyond 32 bits', Buffer.from([0x12, 255, 255, 255, 255, 255, 1]), /above 32 bits/],
    ['a varint without an end', Buffer.alloc(12, 0x80).fill(0x48, 0, 1), /more than ten bytes/],
    ['half an entry', Buffer.from([0x12, 3, 0x0a, 1, 7]), /not a whole number of entries/],
  ] as const) {
    it(`is refused for ${what}`, () => {
      assert.throws(() => decodeClientFrame(bytes), refusal('invalid', sentence));
    });
  }
});

describe('the limits of a frame', () => {
  /** Count entries; the same protobufjs message both ways. */
  function requestBytes(count: number): Buffer {
    const message = {
      sequence: Array.from({ length: count }, (_, index) => index),
      operation: new Array<number>(count).fill(3),
      offset: new Array<number>(count).fill(0),
      length: new Array<number>(count).fill(0),
    };
    return Buffer.from(CLIENT.encode(CLIENT.fromObject({ requests: message })).finish());
  }

  it('are 16384 requests, and no more', () => {
    const frame = decodeClientFrame(requestBytes(REQUESTS_PER_BATCH_MAX));
    assert.ok(frame.kind === 'requests');
    assert.equal(frame.requests.length, 16_384);
    assert.throws(
      () => decodeClientFrame(requestBytes(REQUESTS_PER_BATCH_MAX + 1)),
      refusal('invalid', /16385 entries, more than 16384/),
    );
  });

  it('are offsets and lengths of 2^53 - 1', () => {
    const largest = requestFrame([rangeRequest('trim', LARGEST, LARGEST)]);
    const frame = decodeClientFrame(bytesOf(encodeClientFrame(largest)));
    assert.ok(frame.kind === 'requests');
    assert.deepEqual(frame.requests, largest.requests);
    for (const field of ['sequence', 'offset', 'length']) {
      const batch = { sequence: [1], operation: [4], offset: [0], length: [1] };
      const message = { requests: { ...batch, [field]: ['9007199254740992'] } };
      const bytes = Buffer.from(CLIENT.encode(CLIENT.fromObject(message)).finish());
      assert.throws(() => decodeClientFrame(bytes), refusal('invalid', /beyond 2\^53 - 1/), field);
    }
  });
});
