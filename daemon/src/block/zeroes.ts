/**
 * What a hole reads as: views of one buffer of zeroes that nobody ever writes to. Who knows nothing of holes sees zeroes;
 * who knows sends a length in their place. So a hole costs no memory and no copy on its way, and there is no second kind
 * of payload.
 */
import assert from 'node:assert/strict';
import { REQUEST_BYTES_MAX } from './device-facts.js';

/** Long enough for any read. The kernel gives its pages memory when they are written to, which is never. */
const ZEROES = Buffer.alloc(REQUEST_BYTES_MAX);

/** @param lengthBytes at most REQUEST_BYTES_MAX */
export function zeroPiece(lengthBytes: number): Buffer {
  assert(lengthBytes <= REQUEST_BYTES_MAX, 'no read is longer');
  return ZEROES.subarray(0, lengthBytes);
}

/** True if the piece, or what it was cut from, came from here. False for other zeroes. */
export function isZeroPiece(piece: Buffer): boolean {
  return piece.buffer === ZEROES.buffer;
}
