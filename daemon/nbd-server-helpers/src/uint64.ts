/**
 * 64-bit numbers of the wire as JavaScript numbers: lengths, sizes and offsets in bytes. The cookie of
 * a request is not one of them: it is opaque and stays two halves.
 */

/** Two to the power of 32. */
const HIGH_UNIT = 2 ** 32;
const ALL_ONES = 0xffffffff;

/** @returns exact up to 2^53; above, the nearest double: no device ends there, so no decision changes */
export function readUint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * HIGH_UNIT + bytes.readUInt32BE(at + 4);
}

/**
 * @param value a whole number from 0; at 2^64 (the double nearest to 2^64 - 1) all ones are written
 * @returns the position behind the number
 */
export function writeUint64(target: Buffer, at: number, value: number): number {
  const fits = value < HIGH_UNIT * HIGH_UNIT;
  target.writeUInt32BE(fits ? Math.floor(value / HIGH_UNIT) : ALL_ONES, at);
  return target.writeUInt32BE(fits ? value % HIGH_UNIT : ALL_ONES, at + 4);
}
