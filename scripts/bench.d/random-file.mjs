/** A file that neither compression nor a search for zeroes can make smaller. */
import { randomFillSync } from 'node:crypto';
import { open } from 'node:fs/promises';

const PIECE_BYTES = 8 * 2 ** 20;

/** A twentieth of the file is data, in pieces that are spread evenly. */
export const SPARSE_PART = 20;

export async function writeSparseFile(file, sizeBytes) {
  const handle = await open(file, 'w');
  try {
    await handle.truncate(sizeBytes);
    const piece = Buffer.alloc(PIECE_BYTES);
    for (let at = 0; at + piece.length <= sizeBytes; at += piece.length * SPARSE_PART)
      await handle.write(randomFillSync(piece), 0, piece.length, at);
  } finally {
    await handle.close();
  }
}

export async function writeRandomFile(file, sizeBytes) {
  const handle = await open(file, 'w');
  try {
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, sizeBytes));
    for (let at = 0; at < sizeBytes; at += piece.length) {
      await handle.write(randomFillSync(piece), 0, Math.min(piece.length, sizeBytes - at), at);
    }
  } finally {
    await handle.close();
  }
}
