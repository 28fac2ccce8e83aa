/** Which parts of a file are data and which are holes, as the file system tells. */
import { seekData, seekHole } from 'blkferry-kernel';
import type { Extent } from '../../../block/block-request.js';

/** A longer answer is cut: the client asks again from where it ends. Bounds the time one request may take. */
const EXTENTS_MAX = 1024;

/** @returns extents from the offset on, without gaps, at least one, none beyond `endBytes` */
export function fileExtents(
  fd: number,
  offsetBytes: number,
  endBytes: number,
  extentsMax = EXTENTS_MAX,
): Extent[] {
  const extents: Extent[] = [];
  for (let at = offsetBytes; at < endBytes && extents.length < extentsMax;) {
    const dataAt = seekData(fd, at);
    const isHole = dataAt !== at;
    const next = isHole ? dataAt : seekHole(fd, at);
    const end = next < 0 || next > endBytes ? endBytes : next;
    extents.push({ lengthBytes: end - at, hole: isHole, zero: isHole });
    at = end;
  }
  return extents;
}
