/** Slabs are used again when nobody looks at them, and whoever is wrong about that sees nothing rather than other data. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { freeSlabBytes, hold, letGo, letGoAll, takeSlab } from '#daemon/runtime/reused-memory.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Views of a slab of that length, of so many bytes each, held by whoever asked; the slab itself is let go of. */
function views(slabBytes: number, viewBytes: number): Buffer[] {
  const slab = takeSlab(slabBytes);
  const all = Array.from({ length: slabBytes / viewBytes }, (_, index) =>
    slab.subarray(index * viewBytes, (index + 1) * viewBytes),
  );
  for (const view of all) hold(view);
  letGo(slab);
  return all;
}

describe('a slab', () => {
  it('is used again when everybody has let go of it, and not before', () => {
    const [first, ...others] = views(8 * KIB, KIB);
    assert.ok(first !== undefined);
    first.fill('a');
    letGoAll(others);
    takeSlab(8 * KIB).fill('b');
    assert.equal(first.toString(), 'a'.repeat(KIB));
    const freeBytes = freeSlabBytes();
    letGo(first);
    assert.equal(freeSlabBytes(), freeBytes + 8 * KIB);
    assert.equal(takeSlab(8 * KIB)[0], 'a'.charCodeAt(0), 'with what it held before');
    assert.equal(freeSlabBytes(), freeBytes);
  });

  it('is not used again while parts of a part are held', () => {
    const [view] = views(KIB, KIB);
    assert.ok(view !== undefined);
    const part = view.subarray(10, 20);
    hold(part);
    letGo(view);
    assert.equal(part.length, 10);
    letGo(part);
    assert.equal(part.length, 0);
  });

  it('can be let go of in bytes: all but a part of a view', () => {
    const [view] = views(KIB, KIB);
    assert.ok(view !== undefined);
    letGo(view, 1000);
    assert.equal(view.length, KIB);
    letGo(view.subarray(1000));
    assert.equal(view.length, 0);
  });

  it('leaves nothing to see for views that somebody still has', () => {
    const [view] = views(4 * KIB, 4 * KIB);
    assert.ok(view !== undefined);
    view.fill('a');
    letGo(view);
    const next = takeSlab(4 * KIB).fill('b');
    assert.equal(view.length, 0);
    assert.equal(next.length, 4 * KIB);
    letGo(view);
    assert.equal(next.toString(), 'b'.repeat(4 * KIB), 'letting go of it again changes nothing');
  });

  it('that is forgotten is not used again', () => {
    views(3 * KIB, KIB);
    const freeBytes = freeSlabBytes();
    takeSlab(3 * KIB);
    assert.equal(freeSlabBytes(), freeBytes);
  });
});

describe('free slabs', () => {
  it('are of the length that is asked for', () => {
    letGo(takeSlab(16 * KIB));
    const freeBytes = freeSlabBytes();
    assert.equal(takeSlab(32 * KIB).length, 32 * KIB);
    assert.equal(freeSlabBytes(), freeBytes);
    assert.equal(takeSlab(16 * KIB).length, 16 * KIB);
    assert.equal(freeSlabBytes(), freeBytes - 16 * KIB);
  });

  it('are 16 MiB at most', () => {
    const many = Array.from({ length: 40 }, () => takeSlab(MIB));
    letGoAll(many);
    assert.ok(freeSlabBytes() > 15 * MIB && freeSlabBytes() <= 16 * MIB);
    assert.ok(many.every(({ length }) => length === 0));
  });
});

describe('other memory', () => {
  it('is not counted', () => {
    const freeBytes = freeSlabBytes();
    const buffer = Buffer.alloc(100, 'x');
    hold(buffer);
    letGoAll([buffer, buffer, Buffer.from('from the pool')]);
    assert.equal(buffer.length, 100);
    assert.equal(freeSlabBytes(), freeBytes);
  });
});
