/**
 * The frame codec against protobufjs as the second, naive implementation: the same bytes both ways. What
 * is refused is in storage-frame-refusals.test.ts.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BlockError } from '#daemon/block/block-error.js';
import {
  BLOCK_FLAG,
  BLOCK_OPERATION,
  DONE,
  flushRequest,
  rangeRequest,
  readRequest,
  writeRequest,
  failed,
  type BlockRequest,
  type BlockResult,
} from '#daemon/block/block-request.js';
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
import { CLIENT, NODE, bytesOf, requestFrame } from '#test/support/frame-bytes.js';

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
function inOnePiece(request: BlockRequest): unknown {
  return { ...request, payload: Buffer.concat(request.payload) };
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
    .map((data) => ({ ...DONE, payload: [Buffer.from(data)] })),
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
        fc.option(fc.nat(2 ** 32 - 1), { nil: undefined }),
        (requests, seal) => {
          const sent = requestFrame(requests, seal);
          const received = decodeClientFrame(bytesOf(encodeClientFrame(sent)));
          assert.equal(received.kind, 'requests');
          assert.deepEqual(received.sequences, sent.sequences);
          assert.deepEqual(received.requests.map(inOnePiece), sent.requests.map(inOnePiece));
          assert.equal(received.seal, seal);
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
    assert.deepEqual(received.requests.map(inOnePiece), frame.requests.map(inOnePiece));
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
        fc.option(fc.nat(2 ** 32 - 1), { nil: undefined }),
        (results, writeVerifier, seal) => {
          const sent: ReplyBatchFrame = {
            kind: 'replies',
            sequences: results.map((_, index) => index),
            results,
            writeVerifier,
            seal,
          };
          const bytes = bytesOf(encodeNodeFrame(sent));
          const received = decodeNodeFrame(bytes) as ReplyBatchFrame;
          assert.deepEqual(received.results, results);
          assert.equal(received.writeVerifier, writeVerifier);
          assert.equal(received.seal, seal);
          const again = Buffer.from(NODE.encode(NODE.decode(bytes)).finish());
          assert.deepEqual(again, bytes);
        },
      ),
    );
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
    takesHoles: true,
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
    frameSalt: 0,
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

describe('the encoder', () => {
  it('does not write a batch whose data would be shifted', () => {
    for (const wrong of [
      { ...writeRequest(0, Buffer.alloc(512)), lengthBytes: 513 },
      { ...readRequest(0, 512), payload: [Buffer.alloc(512)] },
    ])
      assert.throws(() => encodeClientFrame(requestFrame([wrong])), /bytes carries 512 bytes/);
  });

  it('leaves out a sentence that is empty and cuts one that is long', () => {
    const results = [
      failed(new BlockError('EIO', '')),
      failed(new BlockError('EIO', 'x'.repeat(1000))),
    ];
    const frame: ReplyBatchFrame = {
      kind: 'replies',
      sequences: [1, 2],
      results,
      writeVerifier: 0n,
    };
    const bytes = bytesOf(encodeNodeFrame(frame));
    const received = decodeNodeFrame(bytes) as ReplyBatchFrame;
    assert.equal(received.results[0]?.error?.reason, 'the node gave no reason');
    assert.equal(received.results[1]?.error?.reason, 'x'.repeat(300));
    const again = Buffer.from(NODE.encode(NODE.decode(bytes)).finish());
    assert.deepEqual(again, bytes);
  });
});
