/** The data of a write into a file, from where it lies: at once, or on another thread. */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { payloadBytes, slices } from '../../../block/block-request.js';

/** IOV_MAX of Linux. */
const PIECES_MAX = 1024;

const writevAway = promisify(fs.writev);

/** @throws Error of the system; part of it may then be written */
export function writePieces(fd: number, pieces: readonly Buffer[], offsetBytes: number): void {
  const lengthBytes = payloadBytes(pieces);
  for (let doneBytes = 0; doneBytes < lengthBytes;) {
    doneBytes += writeOnce(fd, rest(pieces, doneBytes, lengthBytes), offsetBytes + doneBytes);
  }
}

/** The same on libuv's threads. */
export async function writePiecesAway(
  fd: number,
  pieces: readonly Buffer[],
  offsetBytes: number,
): Promise<void> {
  const lengthBytes = payloadBytes(pieces);
  for (let doneBytes = 0; doneBytes < lengthBytes;) {
    const next = rest(pieces, doneBytes, lengthBytes).slice(0, PIECES_MAX);
    doneBytes += (await writevAway(fd, next, offsetBytes + doneBytes)).bytesWritten;
  }
}

/** The kernel takes less when a disk is full, which the next try tells, and of many pieces the first. */
function rest(pieces: readonly Buffer[], doneBytes: number, endBytes: number): readonly Buffer[] {
  return doneBytes === 0 ? pieces : slices(pieces, doneBytes, endBytes);
}

/** @returns how many bytes of it were written */
function writeOnce(fd: number, pieces: readonly Buffer[], offsetBytes: number): number {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1)
    return fs.writeSync(fd, only, 0, only.length, offsetBytes);
  return fs.writevSync(fd, pieces.slice(0, PIECES_MAX), offsetBytes);
}
