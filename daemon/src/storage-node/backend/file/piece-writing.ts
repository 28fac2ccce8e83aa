/** The data of a write into a file, at once, from where it lies. */
import fs from 'node:fs';
import { payloadBytes, slices } from '../../../block/block-request.js';

/** IOV_MAX of Linux. */
const PIECES_MAX = 1024;

/** @throws Error of the system; part of it may then be written */
export function writePieces(fd: number, pieces: readonly Buffer[], offsetBytes: number): void {
  const lengthBytes = payloadBytes(pieces);
  for (let doneBytes = 0; doneBytes < lengthBytes;) {
    // The kernel takes less when a disk is full, which the next try tells, and of many pieces the first.
    const rest = doneBytes === 0 ? pieces : slices(pieces, doneBytes, lengthBytes);
    doneBytes += writeOnce(fd, rest, offsetBytes + doneBytes);
  }
}

/** @returns how many bytes of it were written */
function writeOnce(fd: number, pieces: readonly Buffer[], offsetBytes: number): number {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1)
    return fs.writeSync(fd, only, 0, only.length, offsetBytes);
  return fs.writevSync(fd, pieces.slice(0, PIECES_MAX), offsetBytes);
}
