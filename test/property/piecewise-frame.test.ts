/**
 * A frame that came in pieces is the same as the whole: whatever wrote it, wherever it was cut, with and without a
 * checksum, and when it is broken.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BLOCK_OPERATION, type BlockRequestKind } from '#daemon/block/block-request.js';
import { decodeClientFrame, decodeClientPieces } from '#daemon/rpc/storage-frame.js';
import { assertSameInPieces, frameOutcome } from '#test/support/frame-outcome.js';
import { cut, cuts, pattern } from '#test/support/nbd-bytes.js';
import {
  UNKNOWN_FIELDS,
  columnPieces,
  delimited,
  fixed,
  interleaved,
  sealed,
  tag,
  varint,
  type Column,
  type Form,
} from '#test/support/protobuf-bytes.js';

// ---- frames of any writer ----

const anyForm = fc.constantFrom<Form>('packed', 'packed', 'packed', 'unpacked', 'pieces');
/** Mostly as our own encoder lays them out: the payload last. */
const anyTurns = fc.option(fc.array(fc.nat(20), { minLength: 1, maxLength: 30 }), {
  nil: undefined,
});
const anySeal = fc.option(fc.nat(2 ** 32 - 1), { nil: undefined });
const anyCut = fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 12 });

function frameOf(
  columns: readonly Column[],
  others: readonly Buffer[],
  payload: Buffer,
  turns: readonly number[] | undefined,
  seal: number | undefined,
): Buffer {
  const fields = [
    ...columns.map(columnPieces),
    [...others],
    payload.length === 0 ? [] : [delimited(15, payload)],
  ];
  const body = turns === undefined ? Buffer.concat(fields.flat()) : interleaved(fields, turns);
  const frame = delimited(2, body);
  return seal === undefined ? frame : sealed(frame, seal);
}

const anyRequests = fc
  .record({
    plain: fc.array(
      fc.record({
        kind: fc.constantFrom(...(Object.keys(BLOCK_OPERATION) as BlockRequestKind[])),
        offset: fc.maxSafeNat(),
        length: fc.nat(100),
      }),
      { maxLength: 6 },
    ),
    forms: fc.tuple(anyForm, anyForm, anyForm, anyForm),
    turns: anyTurns,
    seal: anySeal,
    unknown: fc.boolean(),
  })
  .map(({ plain, forms, turns, seal, unknown }) => {
    const columns: Column[] = [
      { field: 1, widthBytes: 8, values: plain.map((_, index) => index * 7), form: forms[0] },
      {
        field: 2,
        widthBytes: 4,
        values: plain.map(({ kind }) => BLOCK_OPERATION[kind]),
        form: forms[1],
      },
      { field: 3, widthBytes: 8, values: plain.map(({ offset }) => offset), form: forms[2] },
      { field: 4, widthBytes: 8, values: plain.map(({ length }) => length), form: forms[3] },
    ];
    const written = plain.filter(({ kind }) => kind === 'write');
    const payloadBytes = written.reduce((sum, { length }) => sum + length, 0);
    return frameOf(columns, unknown ? UNKNOWN_FIELDS : [], pattern(payloadBytes), turns, seal);
  });

const anyReplies = fc
  .record({
    plain: fc.array(
      fc.record({ sequence: fc.maxSafeNat(), error: fc.constantFrom(0, 0, 5), length: fc.nat(90) }),
      { maxLength: 6 },
    ),
    forms: fc.tuple(anyForm, anyForm, anyForm),
    turns: anyTurns,
    seal: anySeal,
    rare: fc.boolean(),
  })
  .map(({ plain, forms, turns, seal, rare }) => {
    const lengths = plain.map(({ error, length }) => (error === 0 ? length : 0));
    const columns: Column[] = [
      { field: 1, widthBytes: 8, values: plain.map(({ sequence }) => sequence), form: forms[0] },
      { field: 2, widthBytes: 4, values: plain.map(({ error }) => error), form: forms[1] },
      { field: 3, widthBytes: 4, values: lengths, form: forms[2] },
    ];
    const others = [
      delimited(5, Buffer.concat([tag(1, 0), varint(0), delimited(2, Buffer.from('bad disk'))])),
      Buffer.concat([tag(7, 1), fixed(99, 8)]),
      // The first reply is a hole, or must not be: it may have data, or have failed.
      delimited(8, Buffer.concat([delimited(2, fixed(4096, 8)), delimited(3, varint(2))])),
    ];
    const payloadBytes = lengths.reduce((sum, length) => sum + length, 0);
    return frameOf(columns, rare ? others : [], pattern(payloadBytes), turns, seal);
  });

/** Cutting, leaving out and putting in. */
const anyEdit = fc.record({
  at: fc.nat(400),
  leftOut: fc.nat(3),
  putIn: fc.uint8Array({ maxLength: 4 }),
});

describe('a frame in pieces', () => {
  it('is the same as the whole frame, whoever wrote it', () => {
    fc.assert(
      fc.property(fc.oneof(anyRequests, anyReplies), anyCut, (frame, lengths) => {
        assertSameInPieces(frame, cut(frame, lengths));
      }),
      { numRuns: 1000 },
    );
  });

  it('is refused like the whole frame, or understood like it, whatever was done to its bytes', () => {
    fc.assert(
      fc.property(
        fc.oneof(anyRequests, anyReplies),
        fc.array(anyEdit, { minLength: 1, maxLength: 3 }),
        anyCut,
        (good, edits, lengths) => {
          let frame = good;
          for (const { at, leftOut, putIn } of edits) {
            const place = at % (frame.length + 1);
            frame = Buffer.concat([
              frame.subarray(0, place),
              putIn,
              frame.subarray(place + leftOut),
            ]);
          }
          assertSameInPieces(frame, cut(frame, lengths));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('is refused like the whole frame when its end is missing', () => {
    fc.assert(
      fc.property(
        fc.oneof(anyRequests, anyReplies),
        fc.nat(80),
        anyCut,
        (whole, missing, lengths) => {
          const frame = whole.subarray(0, Math.max(0, whole.length - missing));
          assertSameInPieces(frame, cut(frame, lengths));
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('a write in pieces', () => {
  /** One write of `lengthBytes`, whose frame says that its payload has `saidBytes`. */
  function write(lengthBytes: number, saidBytes: number, seal?: number): Buffer {
    const content = Buffer.concat([
      delimited(1, fixed(3, 8)),
      delimited(2, fixed(2, 4)),
      delimited(3, fixed(4096, 8)),
      delimited(4, fixed(lengthBytes, 8)),
      Buffer.concat([tag(15, 2), varint(saidBytes), pattern(lengthBytes)]),
    ]);
    const bytes = content.length + saidBytes - lengthBytes;
    const frame = Buffer.concat([tag(2, 2), varint(bytes), content]);
    return seal === undefined ? frame : sealed(frame, seal);
  }

  it('is the same wherever it is cut, and its checksum is seen', () => {
    for (const seal of [undefined, 0, 0x89ab_cdef]) {
      const frame = write(40, 40, seal);
      for (const pieces of cuts(frame)) {
        const decoded = decodeClientPieces(pieces);
        assert.ok(decoded.kind === 'requests');
        assert.deepEqual(Buffer.concat(decoded.requests[0]!.payload), pattern(40));
        assert.equal(decoded.requests[0]!.offsetBytes, 4096);
        assert.deepEqual(decoded.sequences, [3]);
        assert.equal(decoded.seal, seal);
      }
    }
  });

  it('is a view onto the pieces, without a copy', () => {
    const frame = write(5000, 5000);
    // Buffers of their own, not parts of Node's pool.
    const pieces = cut(frame, [1000, 2000, 9000]).map((piece) => {
      const own = Buffer.allocUnsafeSlow(piece.length);
      piece.copy(own);
      return own;
    });
    const decoded = decodeClientPieces(pieces);
    assert.ok(decoded.kind === 'requests');
    const buffers = decoded.requests[0]!.payload.map(({ buffer }) => buffer);
    assert.deepEqual(
      buffers,
      pieces.map(({ buffer }) => buffer),
    );
  });

  it('has another seal than was sent if one bit of it was changed', () => {
    const frame = write(40, 40, 0x89ab_cdef);
    for (let bit = 0; bit < frame.length * 8; bit += 1) {
      const changed = Buffer.from(frame);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const outcome = frameOutcome(() => decodeClientPieces(cut(changed, [60, 20, 100])));
      assert.notDeepEqual(
        outcome,
        frameOutcome(() => decodeClientFrame(frame)),
      );
      assertSameInPieces(changed, cut(changed, [60, 20, 100]));
    }
  });

  it('is refused if its payload is shorter than said, also if its writes fit what is there', () => {
    const frame = write(40, 41);
    assert.throws(() => decodeClientFrame(frame), /a frame ends inside a field/);
    for (const pieces of cuts(frame))
      assert.throws(() => decodeClientPieces(pieces), /a frame ends inside a field/);
  });
});
