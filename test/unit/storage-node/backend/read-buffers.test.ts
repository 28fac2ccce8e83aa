/** Buffers for reads: a large one is used again only when it was given back, and nobody has two hands on one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReadBuffers, SPARE_BYTES_MAX } from '#daemon/storage-node/backend/file/read-buffers.js';

const MIB = 1024 * 1024;

describe('ReadBuffers', () => {
  it('gives each small read its own part of a larger piece', () => {
    const buffers = new ReadBuffers();
    const all = Array.from({ length: 200 }, (_, index) => buffers.take(4096).fill(index));
    assert.ok(all.every((one, index) => one.every((byte) => byte === index)));
    assert.equal(new Set(all.map(({ buffer }) => buffer)).size, 4);
  });

  it('reads into a large one again when it was given back, and not before', () => {
    const buffers = new ReadBuffers();
    const first = buffers.take(MIB);
    const second = buffers.take(MIB);
    assert.notEqual(first.buffer, second.buffer);
    buffers.giveBack([first]);
    assert.equal(buffers.spareBytes, MIB);
    assert.equal(buffers.take(MIB), first);
    assert.equal(buffers.spareBytes, 0);
    assert.notEqual(buffers.take(MIB), first, 'it is taken');
  });

  it('takes nothing back twice, no part of one, and nothing that was never its own', () => {
    const buffers = new ReadBuffers();
    const one = buffers.take(MIB);
    buffers.giveBack([one, one]);
    buffers.giveBack([one]);
    assert.equal(buffers.spareBytes, MIB);
    const again = buffers.take(MIB);
    buffers.giveBack([again.subarray(0, MIB), Buffer.alloc(MIB), buffers.take(4096)]);
    assert.equal(buffers.spareBytes, 0);
  });

  it('gives one of another length for another length', () => {
    const buffers = new ReadBuffers();
    buffers.giveBack([buffers.take(MIB)]);
    assert.equal(buffers.take(MIB / 2).length, MIB / 2);
    assert.equal(buffers.spareBytes, MIB);
  });

  it('keeps so many bytes and no more', () => {
    const buffers = new ReadBuffers();
    const many = Array.from({ length: SPARE_BYTES_MAX / MIB + 1 }, () => buffers.take(MIB));
    buffers.giveBack(many.slice(0, -1));
    assert.equal(buffers.spareBytes, SPARE_BYTES_MAX);
    buffers.giveBack(many.slice(-1));
    assert.equal(buffers.spareBytes, SPARE_BYTES_MAX);
  });

  it('does not keep what nobody wants any more, when others are wanted', () => {
    const buffers = new ReadBuffers();
    buffers.giveBack(Array.from({ length: SPARE_BYTES_MAX / MIB }, () => buffers.take(MIB)));
    buffers.take(2 * MIB);
    assert.equal(buffers.spareBytes, 0);
  });
});
