/** A naive look at the outermost fields of a frame; nothing of the product is used. */
import { crc32c } from '@node-rs/crc32';

/** Number and wire type of each field of ClientFrame and NodeFrame (storage.proto). */
const KNOWN_TAGS = [0x0a, 0x12, 0x19, 0x21, 0x7d];
const CHECKSUM_BYTES = 5;

/**
 * True if the frame has one body and is what every protobuf library writes. Libraries do not agree about the
 * rest: protobufjs does not join a message that comes in two pieces.
 */
export function isPlainFrame(frame: Buffer): boolean {
  let bodies = 0;
  for (let at = 0; at < frame.length;) {
    const tag = frame[at] ?? 0;
    at += 1;
    if (!KNOWN_TAGS.includes(tag)) return false;
    if (tag !== 0x7d) bodies += 1;
    if (tag === 0x7d) at += 4;
    else if ((tag & 7) === 1) at += 8;
    else {
      let length = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = frame[at] ?? 0;
        at += 1;
        length += (byte & 0x7f) * 2 ** shift;
        if (byte < 0x80 || shift > 28) break;
      }
      at += length;
    }
    if (at > frame.length) return false;
  }
  return bodies === 1;
}

/** The last five bytes become a checksum over what is before them. */
export function withFittingChecksum(frame: Buffer): Buffer {
  const covered = frame.length - CHECKSUM_BYTES;
  if (covered < 0) return frame;
  const repaired = Buffer.from(frame);
  repaired[covered] = 0x7d;
  repaired.writeUInt32LE(crc32c(repaired.subarray(0, covered)), covered + 1);
  return repaired;
}
