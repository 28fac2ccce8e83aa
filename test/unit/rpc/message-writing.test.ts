/** Messages as DATA, whole and in pieces: the bytes that a naive writer of protobuf, gRPC and HTTP/2 gives. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DONE, flushRequest, writeRequest } from '#daemon/block/block-request.js';
import { readSealOf, sealOf } from '#daemon/rpc/frame-seal.js';
import { framedBytes, inPieces, writeWhole } from '#daemon/rpc/message-writing.js';
import { encodeClientFrame, encodeNodeFrame } from '#daemon/rpc/storage-frame.js';
import type { ClientFrame, NodeFrame } from '#daemon/rpc/storage-messages.js';
import { WriteGatherer } from '#daemon/runtime/write-gatherer.js';
import { collected, socketPairs } from '#test/support/connection-pair.js';
import { data, grpcMessage } from '#test/support/http2-frames.js';
import { cuts, pattern } from '#test/support/nbd-bytes.js';
import { delimited, fixed, sealed, tag } from '#test/support/protobuf-bytes.js';
import { until } from '#test/support/served-node.js';

const SEALS = [undefined, 0, 0x89ab_cdef];

/** A write of these pieces, and a flush. */
function requests(pieces: readonly Buffer[], seal?: number): ClientFrame {
  const list = [writeRequest(4096, pieces), flushRequest()];
  return { kind: 'requests', sequences: [3, 4], requests: list, seal };
}

function naiveRequests(payload: Buffer): Buffer {
  const columns = [
    delimited(1, Buffer.concat([fixed(3, 8), fixed(4, 8)])),
    delimited(2, Buffer.concat([fixed(2, 4), fixed(3, 4)])),
    delimited(3, Buffer.concat([fixed(4096, 8), fixed(0, 8)])),
    delimited(4, Buffer.concat([fixed(payload.length, 8), fixed(0, 8)])),
  ];
  const content = payload.length === 0 ? [] : [delimited(15, payload)];
  return delimited(2, Buffer.concat([...columns, ...content]));
}

function replies(pieces: readonly Buffer[], seal?: number): NodeFrame {
  const results = [{ ...DONE, payload: pieces }];
  return { kind: 'replies', sequences: [3], results, writeVerifier: 0n, seal };
}

function naiveReplies(payload: Buffer): Buffer {
  const columns = [delimited(1, fixed(3, 8)), delimited(2, fixed(0, 4))];
  columns.push(delimited(3, fixed(payload.length, 4)));
  const content = payload.length === 0 ? [] : [delimited(15, payload)];
  return delimited(2, Buffer.concat([...columns, ...content]));
}

function withSeal(frame: Buffer, seal: number | undefined): Buffer {
  return seal === undefined ? frame : sealed(frame, seal);
}

describe('a message', () => {
  const pair = socketPairs();
  const payloads = [
    [],
    [pattern(1)],
    [pattern(512), pattern(512, 2)],
    // Small and large: what is copied, and what is sent from where it lies.
    [pattern(100), pattern(20_000, 2), pattern(70_000, 3), pattern(5)],
  ];

  it('is one DATA frame if it is written whole', async () => {
    const { near, far } = await pair();
    const received = collected(far);
    const gatherer = new WriteGatherer(near);
    const expected: Buffer[] = [];
    for (const seal of SEALS)
      for (const pieces of payloads) {
        writeWhole(gatherer, encodeClientFrame(requests(pieces, seal)));
        writeWhole(gatherer, encodeNodeFrame(replies(pieces, seal)));
        const payload = Buffer.concat(pieces);
        for (const naive of [naiveRequests(payload), naiveReplies(payload)])
          expected.push(data(grpcMessage(withSeal(naive, seal))));
      }
    writeWhole(gatherer, encodeNodeFrame({ kind: 'pong', number: 7 }));
    expected.push(data(grpcMessage(Buffer.concat([tag(3, 1), fixed(7, 8)]))));
    gatherer.flush();
    const bytes = Buffer.concat(expected);
    await until(() => received().length >= bytes.length);
    assert.ok(received().equals(bytes));
  });

  it('is the same in pieces, of which the payload is where it was', () => {
    for (const seal of SEALS)
      for (const pieces of payloads) {
        const message = encodeClientFrame(requests(pieces, seal));
        const expected = grpcMessage(withSeal(naiveRequests(Buffer.concat(pieces)), seal));
        const parts = inPieces(message);
        assert.ok(Buffer.concat(parts).equals(expected));
        assert.equal(framedBytes(message), expected.length);
        for (const piece of pieces) assert.ok(parts.includes(piece));
      }
    const pong = encodeNodeFrame({ kind: 'pong', number: 7 });
    const expected = grpcMessage(Buffer.concat([tag(3, 1), fixed(7, 8)]));
    assert.deepEqual(Buffer.concat(inPieces(pong)), expected);
    assert.equal(framedBytes(pong), expected.length);
  });
});

describe('a seal over pieces', () => {
  it('is that of the whole, wherever it is cut', () => {
    const frame = naiveRequests(pattern(40));
    for (const seal of [0, 1, 0xffff_ffff]) {
      const whole = sealed(frame, seal);
      for (const pieces of cuts(frame)) {
        assert.deepEqual(sealOf(pieces, seal), whole.subarray(frame.length));
        assert.equal(readSealOf(pieces, whole.readUInt32LE(frame.length + 1)), seal);
      }
    }
  });

  it('is another if the pieces change places', () => {
    const pieces = [pattern(10), pattern(10, 2)];
    const checksum = sealOf(pieces, 5).readUInt32LE(1);
    assert.equal(readSealOf(pieces, checksum), 5);
    assert.notEqual(readSealOf(pieces.reverse(), checksum), 5);
  });
});
