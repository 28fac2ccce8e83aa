/**
 * The grid on which import, export and verification move content: pieces of 1 MiB from offset 0 on,
 * looked at for zeroes in granules of 64 KiB. One grid for files and volumes means that nothing has to
 * be aligned twice, and that two digests of the same content are equal. Pure.
 */

/**
 * Most bytes of one read or write: large enough that headers cost nothing, small enough that sixteen of
 * them in flight stay a modest amount of memory.
 */
export const PIECE_BYTES = 1024 * 1024;

/**
 * Zeroes are found, and left out, in units of this. A multiple of every block size (4096 at most); finer
 * would make more requests than it saves bytes.
 */
export const GRANULE_BYTES = 64 * 1024;

/** Most pieces in flight at once: 16 MiB, enough to keep a 10 Gbit/s line with 10 ms of delay busy. */
export const PIECES_IN_FLIGHT_MAX = 16;

/** A run of content, in order and without gaps. */
export interface Piece {
  /** A multiple of PIECE_BYTES. */
  readonly offsetBytes: number;
  /** At most PIECE_BYTES when there is data; any length for zeroes. */
  readonly lengthBytes: number;
  /** Undefined: the range reads as zeroes. */
  readonly data: Buffer | undefined;
}

const ZERO_GRANULE = Buffer.alloc(GRANULE_BYTES);

/** @param bytes at most GRANULE_BYTES long */
export function isZeroGranule(bytes: Buffer): boolean {
  return bytes.equals(ZERO_GRANULE.subarray(0, bytes.length));
}

/** A part of a piece that is all data or all zeroes. */
export interface Run {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** A view onto the piece; undefined for zeroes. */
  readonly data: Buffer | undefined;
}

/** Cuts a piece at granule borders into runs, in order, neighbours always different in kind. */
export function splitIntoRuns(piece: Piece): Run[] {
  const { offsetBytes, lengthBytes, data } = piece;
  if (data === undefined) return [{ offsetBytes, lengthBytes, data }];
  const runs: Run[] = [];
  let fromBytes = 0;
  let fromZero = false;
  for (let atBytes = 0; atBytes < data.length; atBytes += GRANULE_BYTES) {
    const zero = isZeroGranule(data.subarray(atBytes, atBytes + GRANULE_BYTES));
    if (atBytes > fromBytes && zero !== fromZero) {
      runs.push(toRun(offsetBytes, data, fromBytes, atBytes, fromZero));
      fromBytes = atBytes;
    }
    fromZero = zero;
  }
  if (data.length > 0) runs.push(toRun(offsetBytes, data, fromBytes, data.length, fromZero));
  return runs;
}

function toRun(
  pieceOffsetBytes: number,
  data: Buffer,
  fromBytes: number,
  toBytes: number,
  zero: boolean,
): Run {
  return {
    offsetBytes: pieceOffsetBytes + fromBytes,
    lengthBytes: toBytes - fromBytes,
    data: zero ? undefined : data.subarray(fromBytes, toBytes),
  };
}

/** The first byte of the piece that contains this offset. */
export function pieceStart(offsetBytes: number): number {
  return offsetBytes - (offsetBytes % PIECE_BYTES);
}

export function roundUp(bytes: number, toMultipleOf: number): number {
  const rest = bytes % toMultipleOf;
  return rest === 0 ? bytes : bytes + toMultipleOf - rest;
}
