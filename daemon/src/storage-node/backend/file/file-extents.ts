/** Which parts of a file are data and which are holes, as the file system tells. */
import { dataRuns, dataRunsAway } from 'blkferry-kernel';
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
  const { offsetBytes, endBytes } = range;
  return toExtents(dataRuns(fd, offsetBytes, endBytes, extentsMax), range, extentsMax);
}

/** The same on another thread. */
export async function fileExtentsAway(
  fd: number,
  range: FileRange,
  extentsMax = EXTENTS_MAX,
): Promise<Extent[]> {
  const { offsetBytes, endBytes } = range;
  return toExtents(await dataRunsAway(fd, offsetBytes, endBytes, extentsMax), range, extentsMax);
}

/** @param runs first byte and end of each piece of data; as many as there are, or `extentsMax` */
function toExtents(runs: readonly number[], range: FileRange, extentsMax: number): Extent[] {
  const { endBytes, blockBytes } = range;
  const extents: Extent[] = [];
  let at = range.offsetBytes;
  const add = (end: number, hole: boolean): void => {
    if (end <= at) return;
    extents.push({ lengthBytes: end - at, hole, zero: hole });
    at = end;
  };
  for (let index = 0; index < runs.length && extents.length < extentsMax; index += 2) {
    const [dataAt = 0, dataEnd = 0] = runs.slice(index, index + 2);
    add(dataAt - (dataAt % blockBytes), true);
    if (extents.length < extentsMax)
      add(Math.min(Math.ceil(dataEnd / blockBytes) * blockBytes, endBytes), false);
  }
  // With as many as were asked for there may be more.
  if (extents.length < extentsMax && runs.length < 2 * extentsMax) add(endBytes, true);
  return extents;
}
