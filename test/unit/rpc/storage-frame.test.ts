/**
 * The frame codec against protobufjs as the second, naive implementation: the same bytes both ways.
 * Then garbage: every cut and every changed byte ends as a StorageError or as a frame, never otherwise.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BlockError } from '#daemon/block/block-error.js';
import {
  BLOCK_FLAG,
  BLOCK_OPERATION,
  DONE,
  failed,
  flushRequest,
  rangeRequest,
  readRequest,
  writeRequest,
  type BlockRequest,
  type BlockResult,
} from '#daemon/block/block-request.js';
import { lookupType } from '#daemon/rpc/proto-root.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import {
  decodeClientFrame,
  decodeNodeFrame,
  encodeClientFrame,
  encodeNodeFrame,
} from '#daemon/rpc/storage-frame.js';
import type {
  ClientFrame,
  NodeFrame,
  ReplyBatchFrame,
  RequestBatchFrame,
} from '#daemon/rpc/storage-messages.js';

const CLIENT = lookupType('blkferry.storage.v1.ClientFrame');
const NODE = lookupType('blkferry.storage.v1.NodeFrame');

function bytesOf(lazy: {
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

/** The same batch as protobufjs writes it from plain values. */
function naiveRequests(frame: RequestBatchFrame): Buffer {
  const { sequences, requests } = frame;
  const message = {
    requests: {
      sequence: sequences,
      operation: requests.map(({ kind, flags }) => BLOCK_OPERATION[kind] + flags * 256),
      offset: requests.map(({ offsetBytes }) => offsetBytes),
      length: requests.map(({ lengthBytes }) => lengthBytes),
      payload: Buffer.concat(requests.flatMap(({ payload }) => payload)),
    },
  };
  return Buffer.from(CLIENT.encode(CLIENT.fromObject(message)).finish());
}

/** Same content, whatever the pieces. */
function joined(request: BlockRequest): unknown {
  return { ...request, payload: Buffer.concat(request.payload) };
}

function requestFrame(
  requests: BlockRequest[],
  checksum: 'none' | 'crc32c' = 'none',
): RequestBatchFrame {
  return {
    kind: 'requests',
    sequences: requests.map((_, index) => index * 3 + 1),
    requests,
    checksum,
  };
}

const anyRequest: fc.Arbitrary<BlockRequest> = fc.oneof(
  fc
    .tuple(fc.maxSafeNat(), fc.integer({ min: 1, max: 5000 }))
    .map(([offset, length]) => readRequest(offset, length)),
  fc
    .tuple(
      fc.maxSafeNat(),
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
    )
    .map(([offset, parts, fua]) =>
      writeRequest(
        offset,
        parts.map((part) => Buffer.from(part)),
        fua ? BLOCK_FLAG.FUA : 0,
      ),
    ),
  fc.constant(flushRequest()),
  fc
    .tuple(
      fc.constantFrom('trim', 'write-zeroes', 'block-status', 'cache'),
      fc.maxSafeNat(),
      fc.maxSafeNat(),
      fc.integer({ min: 0, max: 15 }),
    )
    .map(([kind, offset, length, flags]) => rangeRequest(kind, offset, length, flags)),
);

const anyResult: fc.Arbitrary<BlockResult> = fc.oneof(
  fc.constant(DONE),
  fc
    .uint8Array({ minLength: 1, maxLength: 500 })
    .map((data) => ({ ...DONE, payload: Buffer.from(data) })),
  fc
    .constantFrom('EIO', 'ENOSPC', 'EPERM')
    .map((errno) => failed(new BlockError(errno, `because of ${errno}`))),
  fc
    .array(
      fc.record(
        {
          lengthBytes: fc.integer({ min: 1, max: 2 ** 40 }),
          hole: fc.boolean(),
          zero: fc.boolean(),
        },
        { noNullPrototype: true },
      ),
      { minLength: 1, maxLength: 5 },
    )
    .map((extents) => ({ ...DONE, extents })),
);

describe('request batches', () => {
  it('are byte for byte what protobufjs writes', () => {
    fc.assert(
      fc.property(fc.array(anyRequest, { maxLength: 20 }), (requests) => {
        const frame = requestFrame(requests);
        assert.deepEqual(bytesOf(encodeClientFrame(frame)), naiveRequests(frame));
      }),
    );
  });

  it('come back as they went', () => {
    fc.assert(
      fc.property(
        fc.array(anyRequest, { maxLength: 20 }),
        fc.constantFrom('none', 'crc32c'),
        (requests, checksum) => {
          const sent = requestFrame(requests, checksum);
          const received = decodeClientFrame(bytesOf(encodeClientFrame(sent)));
          assert.equal(received.kind, 'requests');
          assert.deepEqual(received.sequences, sent.sequences);
          assert.deepEqual(received.requests.map(joined), sent.requests.map(joined));
          assert.deepEqual(received.damaged, []);
        },
      ),
    );
  });

  it('are understood in any valid protobuf form: unpacked columns and unknown fields', () => {
    const frame = requestFrame([writeRequest(4096, Buffer.alloc(16, 5)), readRequest(0, 512)]);
    const fixed64 = (value: number): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt32LE(value);
      return bytes;
    };
    const fixed32 = (value: number): Buffer => fixed64(value).subarray(0, 4);
    const batch = Buffer.concat([
      Buffer.from([0x7a, 16]),
      Buffer.alloc(16, 5),
      Buffer.from([0x09]),
      fixed64(1),
      Buffer.from([0x09]),
      fixed64(4),
      Buffer.from([0x15]),
      fixed32(2),
      Buffer.from([0x15]),
      fixed32(1),
      Buffer.from([0x80, 0x7d, 0x01]),
      Buffer.from([0x19]),
      fixed64(4096),
      Buffer.from([0x1a, 8]),
      fixed64(0),
      Buffer.from([0x21]),
      fixed64(16),
      Buffer.from([0x21]),
      fixed64(512),
    ]);
    const received = decodeClientFrame(Buffer.concat([Buffer.from([0x12, batch.length]), batch]));
    assert.equal(received.kind, 'requests');
    assert.deepEqual(received.sequences, [1, 4]);
    assert.deepEqual(received.requests.map(joined), frame.requests.map(joined));
  });

  it('name the writes whose payload was damaged on the way', () => {
    const sent = requestFrame(
      [writeRequest(0, Buffer.alloc(64, 1)), writeRequest(64, Buffer.alloc(64, 2))],
      'crc32c',
    );
    const bytes = bytesOf(encodeClientFrame(sent));
    bytes.writeUInt8(99, bytes.length - 1);
    const received = decodeClientFrame(bytes);
    assert.deepEqual((received as RequestBatchFrame).damaged, [1]);
  });

  it('decode to views, not copies, of the payload', () => {
    const bytes = bytesOf(encodeClientFrame(requestFrame([writeRequest(0, Buffer.alloc(64, 1))])));
    const received = decodeClientFrame(bytes) as RequestBatchFrame;
    assert.equal(received.requests[0]?.payload[0]?.buffer, bytes.buffer);
  });
});

describe('reply batches', () => {
  it('come back as they went, and protobufjs reads them too', () => {
    fc.assert(
      fc.property(
        fc.array(anyResult, { maxLength: 20 }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.constantFrom('none', 'crc32c'),
        (results, writeVerifier, checksum) => {
          const sent: ReplyBatchFrame = {
            kind: 'replies',
            sequences: results.map((_, index) => index),
            results,
            writeVerifier,
            checksum,
          };
          const bytes = bytesOf(encodeNodeFrame(sent));
          const received = decodeNodeFrame(bytes) as ReplyBatchFrame;
          assert.deepEqual(received.results, results);
          assert.equal(received.writeVerifier, writeVerifier);
          const again = Buffer.from(NODE.encode(NODE.decode(bytes)).finish());
          assert.deepEqual(again, bytes);
        },
      ),
    );
  });

  it('fail the read whose data was damaged on the way with EIO, and no other', () => {
    const results = [
      { ...DONE, payload: Buffer.alloc(64, 1) },
      { ...DONE, payload: Buffer.alloc(64, 2) },
    ];
    const bytes = bytesOf(
      encodeNodeFrame({
        kind: 'replies',
        sequences: [1, 2],
        results,
        writeVerifier: 0n,
        checksum: 'crc32c',
      }),
    );
    bytes.writeUInt8(99, bytes.length - 1);
    const received = decodeNodeFrame(bytes) as ReplyBatchFrame;
    assert.equal(received.results[0]?.error, undefined);
    assert.equal(received.results[1]?.error?.errno, 'EIO');
  });

  it('make EIO of an error number that they do not know', () => {
    const bytes = Buffer.from(
      NODE.encode(
        NODE.fromObject({ replies: { sequence: [1], error: [999], payloadLength: [0] } }),
      ).finish(),
    );
    const received = decodeNodeFrame(bytes) as ReplyBatchFrame;
    assert.equal(received.results[0]?.error?.message, '[EIO] (error 999)');
  });
});

describe('open, opened, ping and pong', () => {
  const open: ClientFrame = {
    kind: 'open',
    volumeId: 'v',
    attachmentId: 'a',
    generation: 9,
    streamIndex: 0,
    checksum: 'crc32c',
  };
  const opened: NodeFrame = {
    kind: 'opened',
    writeVerifier: 2n ** 63n + 5n,
    volume: {
      volumeId: 'v',
      name: 'n',
      sizeBytes: 2 ** 50,
      blockBytes: 512,
      backend: 'file',
      allocatedBytes: 1,
      createdUnixMs: 2,
      generation: 9,
      holder: { attachmentId: 'a', description: 'd', sinceUnixMs: 3, connected: true },
      sessionCount: 1,
    },
    capabilities: {
      canWrite: true,
      fua: 'emulated',
      canTrim: true,
      canFastZero: false,
      canBlockStatus: true,
    },
    preferredBytes: 4096,
    requestBytesMax: 1024,
    checksum: 'none',
    requestsInFlightMax: 5,
    bytesInFlightMax: 6,
  };

  it('come back as they went', () => {
    assert.deepEqual(decodeClientFrame(bytesOf(encodeClientFrame(open))), open);
    assert.deepEqual(decodeNodeFrame(bytesOf(encodeNodeFrame(opened))), opened);
    const ping: ClientFrame = { kind: 'ping', number: 2 ** 40 };
    assert.deepEqual(decodeClientFrame(bytesOf(encodeClientFrame(ping))), ping);
    assert.deepEqual(decodeNodeFrame(bytesOf(encodeNodeFrame({ kind: 'pong', number: 7 }))), {
      kind: 'pong',
      number: 7,
    });
  });
});

describe('a frame that is wrong', () => {
  const good = bytesOf(
    encodeClientFrame(
      requestFrame(
        [writeRequest(0, Buffer.alloc(20, 1)), readRequest(0, 512), flushRequest()],
        'crc32c',
      ),
    ),
  );
  const goodReply = bytesOf(
    encodeNodeFrame({
      kind: 'replies',
      sequences: [1, 2],
      results: [{ ...DONE, payload: Buffer.alloc(9) }, failed(new BlockError('EIO', 'x'))],
      writeVerifier: 3n,
      checksum: 'none',
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

  it('is refused with a sentence when it is cut at any byte', () => {
    for (let bytes = 0; bytes < good.length; bytes += 1) {
      assert.throws(
        () => decodeClientFrame(good.subarray(0, bytes)),
        StorageError,
        `cut at ${bytes}`,
      );
    }
    for (let bytes = 0; bytes < goodReply.length; bytes += 1) {
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
      'too many checksums',
      { sequence: [1], operation: [1], offset: [0], length: [10], checksum: [1] },
      /more checksums/,
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
      assert.throws(() => decodeClientFrame(bytes), sentence);
    });
  }
});
