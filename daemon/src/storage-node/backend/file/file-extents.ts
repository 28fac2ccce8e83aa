/** Which parts of a file are data and which are holes, as the file system tells. */
import { seekData, seekHole } from 'blkferry-kernel';
import type { Extent } from '../../../block/block-request.js';

/** A longer answer is cut: the client asks again from where it ends. Bounds the time one request may take. */
export const EXTENTS_MAX = 1024;

export interface FileRange {
  /** A multiple of blockBytes, as endBytes is. */
  readonly offsetBytes: number;
  readonly endBytes: number;
  /** Extents are whole blocks: one with any data in it is data. A file system may count in smaller ones. */
  readonly blockBytes: number;
}

/** @returns extents from the offset on, without gaps, at least one, none beyond `endBytes` */
export function fileExtents(fd: number, range: FileRange, extentsMax = EXTENTS_MAX): Extent[] {
  const { offsetBytes, endBytes, blockBytes } = range;
  const extents: Extent[] = [];
  for (let at = offsetBytes; at < endBytes && extents.length < extentsMax;) {
    const dataAt = seekData(fd, at);
    const dataBlock = dataAt < 0 ? endBytes : dataAt - (dataAt % blockBytes);
    const hole = dataBlock > at;
    const next = hole ? dataBlock : roundUp(seekHole(fd, dataAt), blockBytes);
    const end = Math.min(next, endBytes);
    extents.push({ lengthBytes: end - at, hole, zero: hole });
    at = end;
  }
  return extents;
}

function roundUp(bytes: number, blockBytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes;
}
