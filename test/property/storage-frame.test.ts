/**
 * The frame codec for batches that nobody thought of. The other side is a naive writer of protobuf bytes
 * (support/protobuf-bytes.ts) that knows nothing of our layout. Then damage: whatever is done to a frame, decoding it ends in a frame or in a
 * StorageError 'invalid', never otherwise.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BLOCK_OPERATION, type BlockRequestKind } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import {
  decodeClientFrame,
  decodeNodeFrame,
  encodeClientFrame,
  encodeNodeFrame,
} from '#daemon/rpc/storage-frame.js';
import {
  UNKNOWN_FIELDS,
  columnPieces,
  delimited,
  fixed,
  interleaved,
  tag,
  varint,
  type Column,
  type Form,
} from '#test/support/protobuf-bytes.js';

// ---- what is written ----

interface Plain {
  readonly kind: BlockRequestKind;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly flags: number;
  readonly data: Buffer;
}

const anyPlain: fc.Arbitrary<Plain> = fc
  .record({
    kind: fc.constantFrom(...(Object.keys(BLOCK_OPERATION) as BlockRequestKind[])),
    offsetBytes: fc.maxSafeNat(),
    lengthBytes: fc.maxSafeNat(),
    flags: fc.integer({ min: 0, max: 15 }),
    data: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  })
  .map((plain) =>
    plain.kind === 'write'
      ? { ...plain, lengthBytes: plain.data.length }
      : { ...plain, data: Buffer.alloc(0) },
  );

const anyForm = fc.constantFrom<Form>('packed', 'unpacked', 'pieces');
const anyTurns = fc.array(fc.nat(20), { minLength: 1, maxLength: 30 });

const anyOtherEncoding = fc.record({
  plain: fc.array(anyPlain, { maxLength: 8 }),
  forms: fc.tuple(anyForm, anyForm, anyForm, anyForm),
  turns: anyTurns,
  inTwoBodies: fc.boolean(),
});

describe('a request batch', () => {
  it('is understood however a protobuf writer puts it', () => {
    fc.assert(
      fc.property(anyOtherEncoding, ({ plain, forms, turns, inTwoBodies }) => {
        const sequences = plain.map((_, index) => index * 7);
        const operations = plain.map(({ kind, flags }) => BLOCK_OPERATION[kind] + flags * 256);
        const columns: Column[] = [
          { field: 1, widthBytes: 8, values: sequences, form: forms[0] },
          { field: 2, widthBytes: 4, values: operations, form: forms[1] },
          { field: 3, widthBytes: 8, values: plain.map((one) => one.offsetBytes), form: forms[2] },
          { field: 4, widthBytes: 8, values: plain.map((one) => one.lengthBytes), form: forms[3] },
        ];
        const payload = delimited(15, Buffer.concat(plain.map(({ data }) => data)));
        const pieces = [...columns.map(columnPieces), [payload], UNKNOWN_FIELDS];
        // A message may come in pieces too: its fields are those of all pieces together.
        const cut = inTwoBodies ? pieces.splice(2) : [];
        const frame = Buffer.concat([
          delimited(9, Buffer.from('unknown')),
          delimited(2, interleaved(pieces, turns)),
          ...(inTwoBodies ? [delimited(2, interleaved(cut, turns))] : []),
        ]);
        const decoded = decodeClientFrame(frame);
        assert.ok(decoded.kind === 'requests');
        assert.deepEqual(decoded.sequences, sequences);
        assert.deepEqual(
          decoded.requests.map(({ payload: parts, ...one }) => ({
            ...one,
            data: Buffer.concat(parts),
          })),
          plain,
        );
      }),
    );
  });
});

interface Sparse {
  readonly data: Uint8Array;
  /** Bytes of data before each, and of zeroes. */
  readonly holes: readonly (readonly [number, number])[];
}

/** The read's extents as a message, or none. */
function readExtents(index: number, { data, holes }: Sparse): Buffer[] {
  if (holes.length === 0) return [];
  const runs: [lengthBytes: number, state: number][] = [];
  let left = data.length;
  for (const [before, length] of holes) {
    runs.push([before, 0], [length, 2]);
    left -= before;
  }
  const full = [...runs, [left, 0] as const].filter(([length]) => length > 0);
  const lengths = Buffer.concat(full.map(([length]) => fixed(length, 8)));
  const states = Buffer.concat(full.map(([, state]) => varint(state)));
  const number = Buffer.concat([tag(1, 0), varint(index)]);
  return [delimited(8, Buffer.concat([number, delimited(2, lengths), delimited(3, states)]))];
}

/** What a read with these holes is. */
function withZeroes(sent: Sparse): Buffer {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [before, length] of sent.holes) {
    parts.push(sent.data.subarray(at, at + before), Buffer.alloc(length));
    at += before;
  }
  return Buffer.concat([...parts, sent.data.subarray(at)]);
}

describe('a reply batch', () => {
  /** 4711 is none of the protocol's. */
  const ERRNO = new Map([
    [0, undefined],
    [5, 'EIO'],
    [28, 'ENOSPC'],
    [4711, 'EIO'],
  ]);
  const anyReply = fc.record({
    sequence: fc.maxSafeNat(),
    error: fc.constantFrom(0, 0, 5, 28, 4711),
    data: fc.uint8Array({ maxLength: 40 }),
    /** Bytes of data before, and of zeroes. */
    holes: fc.array(fc.tuple(fc.nat(10), fc.integer({ min: 1, max: 9 })), { maxLength: 3 }),
  });

  it('is understood however a protobuf writer puts it', () => {
    fc.assert(
      fc.property(
        fc.array(anyReply, { maxLength: 8 }),
        fc.tuple(anyForm, anyForm, anyForm),
        anyTurns,
        (made, forms, turns) => {
          const replies = made.map((one) => {
            if (one.error !== 0) return { ...one, data: new Uint8Array(), holes: [] };
            const beforeBytes = one.holes.reduce((sum, [before]) => sum + before, 0);
            return beforeBytes <= one.data.length ? one : { ...one, holes: [] };
          });
          const pieces = [
            {
              field: 1,
              widthBytes: 8,
              values: replies.map((one) => one.sequence),
              form: forms[0],
            } as const,
            {
              field: 2,
              widthBytes: 4,
              values: replies.map((one) => one.error),
              form: forms[1],
            } as const,
            {
              field: 3,
              widthBytes: 4,
              values: replies.map((one) => one.data.length),
              form: forms[2],
            } as const,
          ].map(columnPieces);
          const verifier = Buffer.concat([tag(7, 1), fixed(99, 8)]);
          const payload = delimited(15, Buffer.concat(replies.map(({ data }) => data)));
          const sparse = replies.flatMap((one, index) => readExtents(index, one));
          const body = interleaved(
            [...pieces, [verifier], sparse, [payload], UNKNOWN_FIELDS],
            turns,
          );
          const decoded = decodeNodeFrame(delimited(2, body));
          assert.ok(decoded.kind === 'replies');
          assert.equal(decoded.writeVerifier, 99n);
          assert.deepEqual(
            decoded.sequences,
            replies.map(({ sequence }) => sequence),
          );
          decoded.results.forEach((result, index) => {
            const sent = replies[index];
            assert.ok(sent !== undefined);
            assert.deepEqual(Buffer.concat(result.payload), withZeroes(sent));
            assert.equal(result.error?.errno, ERRNO.get(sent.error));
          });
        },
      ),
    );
  });
});

// ---- damage ----

const good = {
  requests: Buffer.concat([
    delimited(
      2,
      Buffer.concat([
        delimited(1, Buffer.concat([fixed(1, 8), fixed(2, 8)])),
        delimited(2, Buffer.concat([fixed(2, 4), fixed(1, 4)])),
        delimited(3, Buffer.concat([fixed(0, 8), fixed(4096, 8)])),
        delimited(4, Buffer.concat([fixed(20, 8), fixed(512, 8)])),
        delimited(15, Buffer.alloc(20, 3)),
      ]),
    ),
  ]),
  replies: delimited(
    2,
    Buffer.concat([
      delimited(1, Buffer.concat([fixed(1, 8), fixed(2, 8), fixed(3, 8)])),
      delimited(2, Buffer.concat([fixed(0, 4), fixed(5, 4), fixed(0, 4)])),
      delimited(3, Buffer.concat([fixed(9, 4), fixed(0, 4), fixed(0, 4)])),
      delimited(5, Buffer.concat([tag(1, 0), varint(1), delimited(2, Buffer.from('bad disk'))])),
      delimited(
        6,
        Buffer.concat([tag(1, 0), varint(2), delimited(2, fixed(512, 8)), delimited(3, varint(3))]),
      ),
      Buffer.concat([tag(7, 1), fixed(77, 8)]),
      delimited(15, Buffer.alloc(9, 4)),
    ]),
  ),
};

function framesOrRefusals(bytes: Buffer): void {
  for (const decode of [decodeClientFrame, decodeNodeFrame]) {
    try {
      decode(bytes);
    } catch (error) {
      assert.ok(error instanceof StorageError, (error as Error).stack);
      assert.equal(error.kind, 'invalid');
      assert.match(error.message, /\w+ \w+/);
    }
  }
}

describe('a damaged frame', () => {
  it('was good before', () => {
    assert.equal(decodeClientFrame(good.requests).kind, 'requests');
    assert.equal(decodeNodeFrame(good.replies).kind, 'replies');
  });

  it('is refused or understood, whichever bytes are changed, left out or put in', () => {
    const edit = fc.record({
      at: fc.nat(400),
      leftOut: fc.integer({ min: 0, max: 3 }),
      putIn: fc.uint8Array({ maxLength: 4 }),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(good.requests, good.replies),
        fc.array(edit, { minLength: 1, maxLength: 3 }),
        (frame, edits) => {
          let bytes = frame;
          for (const { at, leftOut, putIn } of edits) {
            const place = at % bytes.length;
            bytes = Buffer.concat([
              bytes.subarray(0, place),
              putIn,
              bytes.subarray(place + leftOut),
            ]);
            if (bytes.length === 0) break;
          }
          framesOrRefusals(bytes);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('is refused or understood if it is nothing but noise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (noise) => {
        framesOrRefusals(Buffer.from(noise));
        framesOrRefusals(delimited(2, Buffer.from(noise)));
      }),
      { numRuns: 3000 },
    );
  });
});

describe('frames without a batch', () => {
  it('come back as they went, for any values', () => {
    const open = fc.record(
      {
        kind: fc.constant('open' as const),
        volumeId: fc.string(),
        attachmentId: fc.string(),
        generation: fc.maxSafeNat(),
        streamIndex: fc.nat(2 ** 32 - 1),
        checksum: fc.constantFrom('none' as const, 'crc32c' as const),
        takesHoles: fc.boolean(),
      },
      { noNullPrototype: true },
    );
    const bytesOf = (lazy: ReturnType<typeof encodeClientFrame>): Buffer => {
      const bytes = Buffer.alloc(lazy.byteLength);
      lazy.copy(bytes, 0);
      return bytes;
    };
    fc.assert(
      fc.property(open, fc.maxSafeNat(), (frame, number) => {
        assert.deepEqual(decodeClientFrame(bytesOf(encodeClientFrame(frame))), frame);
        const ping = { kind: 'ping', number } as const;
        assert.deepEqual(decodeClientFrame(bytesOf(encodeClientFrame(ping))), ping);
        const pong = { kind: 'pong', number } as const;
        assert.deepEqual(decodeNodeFrame(bytesOf(encodeNodeFrame(pong))), pong);
      }),
    );
  });
});
