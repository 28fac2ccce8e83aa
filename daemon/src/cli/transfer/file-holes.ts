/**
 * Where the data of a sparse file is, through the native add-on. Without the add-on, or on a file
 * system that cannot tell, the whole file counts as data: slower, and just as right.
 */
import { seekData } from 'blkferry-kernel';

/** What lseek answers when there is no data from the offset to the end. */
const NO_MORE_DATA = -1;

/** @returns the first byte at or after the offset that is not in a hole; undefined when only holes follow */
export function nextDataOffset(fd: number, offsetBytes: number): number | undefined {
  try {
    const dataOffset = seekData(fd, offsetBytes);
    return dataOffset === NO_MORE_DATA ? undefined : dataOffset;
  } catch {
    return offsetBytes;
  }
}
