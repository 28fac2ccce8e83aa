/** The header block of HEADERS and the CONTINUATION frames behind it (RFC 9113, sections 6.2 and 6.10). */
import { FLAG } from './constants.js';
import { Http2Error } from './http2-error.js';

/** Of one block, in whatever pieces it comes. */
export const HEADER_BLOCK_BYTES_MAX = 16_384;
/** A block in many empty pieces would cost time and never end. */
const PIECES_MAX = 16;

export interface WholeBlock {
  readonly bytes: Buffer;
  /** The stream ends with it. */
  readonly isLast: boolean;
}

export class HeaderBlock {
  #pieces: Buffer[] | undefined;
  #isLast = false;

  /** Waits for its next piece. */
  get isOpen(): boolean {
    return this.#pieces !== undefined;
  }

  /** @returns the block when it is whole. @throws Http2Error */
  add(isContinuation: boolean, flags: number, payload: Buffer): WholeBlock | undefined {
    const fragment = isContinuation ? payload : fragmentOf(flags, payload);
    if (!isContinuation) this.#isLast = (flags & FLAG.END_STREAM) !== 0;
    const isWhole = (flags & FLAG.END_HEADERS) !== 0;
    if (isWhole && this.#pieces === undefined) return { bytes: fragment, isLast: this.#isLast };
    const pieces = [...(this.#pieces ?? []), Buffer.from(fragment)];
    const bytes = Buffer.concat(pieces);
    if (bytes.length > HEADER_BLOCK_BYTES_MAX || pieces.length > PIECES_MAX)
      throw new Http2Error(
        'ENHANCE_YOUR_CALM',
        `a header block of ${pieces.length} pieces has ${bytes.length} bytes and no end`,
      );
    this.#pieces = isWhole ? undefined : pieces;
    return isWhole ? { bytes, isLast: this.#isLast } : undefined;
  }
}

/** What of a HEADERS frame is neither padding nor priority. */
function fragmentOf(flags: number, payload: Buffer): Buffer {
  const isPadded = (flags & FLAG.PADDED) !== 0;
  const start = (isPadded ? 1 : 0) + ((flags & FLAG.PRIORITY) === 0 ? 0 : 5);
  const end = payload.length - (isPadded ? (payload[0] ?? 0) : 0);
  if (start > end)
    throw new Http2Error('PROTOCOL_ERROR', 'a HEADERS frame is shorter than its padding');
  return payload.subarray(start, end);
}
