/**
 * Streams with input nobody thought of. Oracle: the list of requests itself, encoded by
 * the naive builder; and for bytes without sense, the same bytes in one piece. On a failure fast-check
 * prints the seed and the smallest input; FC_SEED repeats it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  NbdProtocolError,
  ReplyStream,
  RequestStream,
  type NbdReply,
  type NbdRequest,
} from 'nbd-server-helpers';
import {
  bytes,
  chunk,
  cut,
  extendedRequest,
  request,
  simpleReply,
  u16,
  u32,
  u64,
  type WireRequest,
} from '#test/support/nbd-bytes.js';

const SEED = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 300), seed: SEED };
const PAYLOAD_MAX = 3000;

const cookie = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const offset = fc.bigInt({ min: 0n, max: 2n ** 53n - 1n });

/** A write with data, sometimes too much of it. */
const aWrite: fc.Arbitrary<WireRequest> = fc
  .record({
    cookie,
    offset,
    data: fc.uint8Array({ maxLength: PAYLOAD_MAX + 200 }),
    fua: fc.boolean(),
  })
  .map(({ data, fua, ...rest }) => ({
    ...rest,
    flags: fua ? 1 : 0,
    command: 1,
    length: data.length,
    payload: Buffer.from(data),
  }));

/** Any other command, known or not. */
const another: fc.Arbitrary<WireRequest> = fc.record({
  flags: fc.nat(0x1f),
  command: fc.nat(0xffff).filter((command) => command !== 1),
  cookie,
  offset,
  length: fc.nat(2 ** 32 - 1),
  payload: fc.constant(Buffer.alloc(0)),
});

const requests = fc.array(fc.oneof(aWrite, another), { maxLength: 12 });

const lengths = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 8 });
const shortLengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });

function stated(wire: WireRequest): object {
  const isOversized = wire.payload.length > PAYLOAD_MAX;
  return {
    flags: wire.flags,
    command: wire.command,
    cookie: wire.cookie,
    offsetBytes: Number(wire.offset),
    lengthBytes: Number(wire.length),
    payload: isOversized ? '' : wire.payload.toString('hex'),
    oversized: isOversized,
  };
}

function received(got: NbdRequest): object {
  return {
    flags: got.flags,
    command: got.command,
    cookie: (BigInt(got.cookieHigh) << 32n) | BigInt(got.cookieLow),
    offsetBytes: got.offsetBytes,
    lengthBytes: got.lengthBytes,
    payload: Buffer.concat(got.payload).toString('hex'),
    oversized: got.oversized,
  };
}

/** What became of pushing all chunks: the results, or that the stream was refused. */
function outcomeOf<Result>(
  push: (chunk: Buffer) => Result,
  chunks: readonly Buffer[],
): Result[] | 'refused' {
  const results: Result[] = [];
  try {
    for (const part of chunks) results.push(push(part));
  } catch (error) {
    if (error instanceof NbdProtocolError) return 'refused';
    throw error;
  }
  return results;
}

describe(`NBD streams (FC_SEED=${SEED})`, () => {
  it('RequestStream gives back any list of requests, however it was cut', () => {
    fc.assert(
      fc.property(requests, lengths, (sent, sizes) => {
        const stream = new RequestStream({ extendedHeaders: false, payloadBytesMax: PAYLOAD_MAX });
        const got = cut(bytes(...sent.map(request)), sizes).flatMap((part) => stream.push(part));
        assert.deepEqual(got.map(received), sent.map(stated));
        assert.equal(stream.incompleteBytes, 0);
      }),
      RUNS,
    );
  });

  it('RequestStream gives back any list of extended requests, however it was cut', () => {
    fc.assert(
      fc.property(requests, lengths, (list, sizes) => {
        const sent = list.map((wire) =>
          wire.command === 1 ? { ...wire, flags: wire.flags | 0x20 } : wire,
        );
        const stream = new RequestStream({ extendedHeaders: true, payloadBytesMax: PAYLOAD_MAX });
        const wire = bytes(...sent.map(extendedRequest));
        const got = cut(wire, sizes).flatMap((part) => stream.push(part));
        assert.deepEqual(got.map(received), sent.map(stated));
        assert.equal(stream.incompleteBytes, 0);
      }),
      RUNS,
    );
  });

  it('RequestStream refuses or ignores damaged bytes, always in the same way', () => {
    const damage = fc.record({ at: fc.nat(5000), byte: fc.nat(255) });
    fc.assert(
      fc.property(requests, damage, lengths, (sent, { at, byte }, sizes) => {
        const wire = bytes(...sent.map(request));
        if (at < wire.length) wire[at] = byte;
        const outcome = (chunks: readonly Buffer[]): unknown => {
          const stream = new RequestStream({
            extendedHeaders: false,
            payloadBytesMax: PAYLOAD_MAX,
          });
          const got = outcomeOf((part) => stream.push(part), chunks);
          return got === 'refused' ? got : got.flat().map(received);
        };
        assert.deepEqual(outcome(cut(wire, sizes)), outcome([wire]));
      }),
      RUNS,
    );
  });

  it('ReplyStream reads damaged replies in the same way, however they were cut', () => {
    const replies = bytes(
      chunk(0, 1, 1n, u64(0), Buffer.alloc(40, 5)),
      chunk(1, 2, 1n, u64(40), u32(24)),
      simpleReply(0, 2n),
      chunk(1, 5, 3n, u32(1), u32(512), u32(3)),
      chunk(1, 0x8002, 4n, u32(5), u16(4), 'lost', u64(1)),
    );
    const damage = fc.array(fc.record({ at: fc.nat(replies.length - 1), byte: fc.nat(255) }), {
      maxLength: 2,
    });
    fc.assert(
      fc.property(damage, shortLengths, (places, sizes) => {
        const wire = Buffer.from(replies);
        for (const { at, byte } of places) wire[at] = byte;
        const plain = (reply: NbdReply): object => ({
          ...reply,
          payload: Buffer.concat(reply.payload),
        });
        const outcome = (chunks: readonly Buffer[]): unknown => {
          const stream = new ReplyStream({
            replyKind: 'structured',
            payloadBytesMax: 4096,
            readRangeOf: () => undefined,
          });
          const got = outcomeOf((part) => stream.push(part), chunks);
          return got === 'refused' ? got : got.flat().map(plain);
        };
        assert.deepEqual(outcome(cut(wire, sizes)), outcome([wire]));
      }),
      RUNS,
    );
  });
});
