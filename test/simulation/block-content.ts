/**
 * What a block holds in the simulation: the number of the request that wrote it, beside the block's own
 * number, over and over; zeroes read as number 0. So every block tells who wrote it, and data that landed in
 * the wrong place, or a mixture of two writes, is recognized.
 */

/** What `readContent` says of a block that nobody wrote like this. */
export const MIXTURE = -1;
export const MISPLACED = -2;

export function blockContent(content: number, block: number, blockBytes: number): Buffer {
  const bytes = Buffer.alloc(blockBytes);
  if (content === 0) return bytes;
  const unit = Buffer.alloc(8);
  unit.writeUInt32LE(content, 0);
  unit.writeUInt32LE(block, 4);
  return bytes.fill(unit);
}

/** The data of a write of these blocks. */
export function rangeContent(
  content: number,
  first: number,
  count: number,
  blockBytes: number,
): Buffer {
  const bytes = Buffer.alloc(count * blockBytes);
  for (let index = 0; index < count; index += 1)
    blockContent(content, first + index, blockBytes).copy(bytes, index * blockBytes);
  return bytes;
}

/** @returns the content's number, MIXTURE or MISPLACED */
export function readContent(bytes: Buffer, block: number): number {
  const content = bytes.readUInt32LE(0);
  const place = bytes.readUInt32LE(4);
  if (!isUniform(bytes)) return MIXTURE;
  if (content === 0) return place === 0 ? 0 : MIXTURE;
  return place === block ? content : MISPLACED;
}

/** Every eight bytes are as the eight before. */
function isUniform(bytes: Buffer): boolean {
  return bytes.compare(bytes, 8, bytes.length, 0, bytes.length - 8) === 0;
}
