/**
 * The checksum of a frame (storage.proto, "Checksums"): CRC-32C of everything before it, XORed with the
 * frame's seal. The seal is what the checksum adds to the bytes: which session's frame this is and the how
 * manieth. So a frame that was lost, doubled or put into another session is found like one whose bytes were
 * changed.
 *
 * One native call per frame, over bytes that lie together. Who counts and judges is the session.
 */
import { crc32c } from '@node-rs/crc32';
import { StorageError } from './storage-error.js';

/** Field 15 of both frames, fixed32, always the last: one byte of tag and four of checksum. */
export const SEAL_TAG = 0x7d;
export const SEAL_BYTES = 5;

/** Of `open` and `opened`, which come before both ends know the salt. */
export const OPENING_SEAL = 0;

/** Part of every frame. */
export interface Sealed {
  /** Where a checksum is in force: what the frame must say, or what it says if it came undamaged. */
  readonly seal?: number | undefined;
}

/** Bytes that the seal takes in a frame. */
export function sealBytes(seal: number | undefined): number {
  return seal === undefined ? 0 : SEAL_BYTES;
}

/** Closes the frame in bytes [start, at). @returns the position behind it */
export function writeSeal(
  target: Buffer,
  start: number,
  at: number,
  seal: number | undefined,
): number {
  if (seal === undefined) return at;
  const checksum = (crc32c(target.subarray(start, at)) ^ seal) >>> 0;
  target[at] = SEAL_TAG;
  return target.writeUInt32LE(checksum, at + 1);
}

/** The seal of a received frame, whose checksum at `checksumAt` is for its first `coveredBytes`. */
export function readSeal(frame: Buffer, coveredBytes: number, checksumAt: number): number {
  return (frame.readUInt32LE(checksumAt) ^ crc32c(frame.subarray(0, coveredBytes))) >>> 0;
}

/** The same of a frame in pieces, without its checksum. */
export function readSealOf(covered: readonly Buffer[], checksum: number): number {
  return (checksum ^ checksumOf(covered)) >>> 0;
}

/** What closes a frame whose pieces are these. */
export function sealOf(covered: readonly Buffer[], seal: number): Buffer {
  const bytes = Buffer.allocUnsafe(SEAL_BYTES);
  bytes[0] = SEAL_TAG;
  bytes.writeUInt32LE((checksumOf(covered) ^ seal) >>> 0, 1);
  return bytes;
}

function checksumOf(pieces: readonly Buffer[]): number {
  let checksum = 0;
  for (const piece of pieces) checksum = crc32c(piece, checksum);
  return checksum;
}

/** The seals of one direction of a session, behind its first frame. */
export class FrameSeals {
  #number = 0;

  /** @param salt of the session, from `opened` */
  constructor(readonly salt: number) {}

  next(): number {
    this.#number += 1;
    return (this.salt + this.#number) >>> 0;
  }

  /** @throws StorageError 'damaged': nothing of the frame may be used, and the session must end */
  check({ seal }: Sealed): void {
    if (seal !== this.next()) throw damaged(`frame ${this.#number} does not fit its checksum`);
  }
}

/**
 * Checks a received frame, `seals` being undefined where no checksum was agreed on.
 * @throws StorageError 'damaged' or 'invalid': the session must end
 */
export function checkSeal(seals: FrameSeals | undefined, frame: Sealed): void {
  if (seals !== undefined) seals.check(frame);
  else if (frame.seal !== undefined)
    throw new StorageError('invalid', 'a frame came with a checksum, and none was agreed on');
}

/** Checks the first frame of a direction. @throws StorageError 'damaged' */
export function checkOpeningSeal(hasChecksum: boolean, { seal }: Sealed): void {
  if (seal !== (hasChecksum ? OPENING_SEAL : undefined))
    throw damaged('the first frame does not fit its checksum');
}

/** @param what as in "frame 5 does not fit its checksum" */
export function damaged(what: string, cause?: unknown): StorageError {
  return new StorageError(
    'damaged',
    `data was damaged on its way between daemon and node (${what}); nothing of it was used`,
    { cause },
  );
}
