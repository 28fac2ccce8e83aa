/** Goal: pieces are cut where the grid says, and every byte is in exactly one run. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  GRANULE_BYTES,
  PIECE_BYTES,
  pieceStart,
  roundUp,
  splitIntoRuns,
} from '#daemon/cli/transfer/piece.js';

const G = GRANULE_BYTES;

function shape(data: Buffer, offsetBytes = 0): [number, number, 'data' | 'zero'][] {
  return splitIntoRuns({ offsetBytes, lengthBytes: data.length, data }).map((run) => [
    run.offsetBytes,
    run.lengthBytes,
    run.data === undefined ? 'zero' : 'data',
  ]);
}

describe('splitIntoRuns', () => {
  //  granule     0     1     2     3
  //           |  d  |  0  |  0  |  d  |
  it('cuts at granule borders and joins neighbours of one kind', () => {
    const data = Buffer.alloc(4 * G);
    data[0] = 1;
    data[4 * G - 1] = 1;
    assert.deepEqual(shape(data, PIECE_BYTES), [
      [PIECE_BYTES, G, 'data'],
      [PIECE_BYTES + G, 2 * G, 'zero'],
      [PIECE_BYTES + 3 * G, G, 'data'],
    ]);
  });

  it('takes a granule with a single byte for data', () => {
    const data = Buffer.alloc(2 * G);
    data[G] = 1;
    assert.deepEqual(shape(data), [
      [0, G, 'zero'],
      [G, G, 'data'],
    ]);
  });

  it('leaves a piece of one kind whole, also a short one', () => {
    assert.deepEqual(shape(Buffer.alloc(100)), [[0, 100, 'zero']]);
    assert.deepEqual(shape(Buffer.alloc(G + 100, 1)), [[0, G + 100, 'data']]);
    assert.deepEqual(shape(Buffer.alloc(0)), []);
  });

  it('gives a hole back as it is', () => {
    const hole = { offsetBytes: 0, lengthBytes: 7 * PIECE_BYTES, data: undefined };
    assert.deepEqual(splitIntoRuns(hole), [hole]);
  });

  it('gives views onto the piece that hold its bytes', () => {
    const data = Buffer.alloc(3 * G, 5);
    data.fill(0, G, 2 * G);
    const [first, , third] = splitIntoRuns({ offsetBytes: 0, lengthBytes: data.length, data });
    assert.deepEqual(first?.data, Buffer.alloc(G, 5));
    assert.equal(third?.data?.buffer, data.buffer);
  });
});

describe('pieceStart and roundUp', () => {
  it('go to the grid beyond 2^32 too', () => {
    const far = 20 * 1024 ** 4;
    assert.equal(pieceStart(far + PIECE_BYTES - 1), far);
    assert.equal(pieceStart(far), far);
    assert.equal(roundUp(far + 1, 4096), far + 4096);
    assert.equal(roundUp(far, 4096), far);
  });
});
