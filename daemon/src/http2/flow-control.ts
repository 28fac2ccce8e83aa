/**
 * Both directions of flow control (RFC 9113, section 5.2) for a connection with one stream: its window and the
 * connection's always have the same traffic, so that one count serves for what is received.
 */
import { DEFAULT_FRAME_BYTES_MAX, DEFAULT_WINDOW_BYTES, WINDOW_BYTES_MAX } from './constants.js';
import { Http2Error } from './http2-error.js';

/** What we may send. */
export class SendAllowance {
  #connectionBytes = DEFAULT_WINDOW_BYTES;
  #streamBytes = DEFAULT_WINDOW_BYTES;
  #initialBytes = DEFAULT_WINDOW_BYTES;
  #frameBytesMax = DEFAULT_FRAME_BYTES_MAX;

  /** DATA bytes that may go now, in frames of at most `frameBytesMax`; below 0 after a window was made smaller. */
  get bytes(): number {
    return Math.min(this.#connectionBytes, this.#streamBytes);
  }

  get frameBytesMax(): number {
    return this.#frameBytesMax;
  }

  get windows(): { readonly streamBytes: number; readonly connectionBytes: number } {
    return { streamBytes: this.#streamBytes, connectionBytes: this.#connectionBytes };
  }

  use(bytes: number): void {
    this.#connectionBytes -= bytes;
    this.#streamBytes -= bytes;
  }

  /** WINDOW_UPDATE. @throws Http2Error */
  grow(streamId: number, bytes: number): void {
    if (bytes === 0) throw new Http2Error('PROTOCOL_ERROR', 'a window was to grow by nothing');
    if (streamId === 0) this.#connectionBytes = grown(this.#connectionBytes, bytes);
    else this.#streamBytes = grown(this.#streamBytes, bytes);
  }

  /** SETTINGS_INITIAL_WINDOW_SIZE, which changes the window of a stream that is there. @throws Http2Error */
  begin(initialBytes: number): void {
    if (initialBytes > WINDOW_BYTES_MAX)
      throw new Http2Error(
        'FLOW_CONTROL_ERROR',
        `a window of ${initialBytes} bytes is not allowed`,
      );
    const byBytes = initialBytes - this.#initialBytes;
    this.#initialBytes = initialBytes;
    this.#streamBytes = grown(this.#streamBytes, byBytes);
  }

  limitFrames(bytesMax: number): void {
    this.#frameBytesMax = bytesMax;
  }
}

function grown(windowBytes: number, byBytes: number): number {
  const bytes = windowBytes + byBytes;
  if (bytes > WINDOW_BYTES_MAX)
    throw new Http2Error('FLOW_CONTROL_ERROR', `a window grew beyond ${WINDOW_BYTES_MAX} bytes`);
  return bytes;
}

/** What the peer may send. */
export class ReceiveAllowance {
  /** What the peer may still send. */
  #leftBytes: number;
  /** Taken in, and not yet given back to the peer. */
  #takenBytes = 0;
  #isHeld = false;

  constructor(readonly windowBytes: number) {
    this.#leftBytes = windowBytes;
  }

  /** A DATA frame begins. @throws Http2Error */
  use(bytes: number): void {
    this.#leftBytes -= bytes;
    if (this.#leftBytes < 0)
      throw new Http2Error(
        'FLOW_CONTROL_ERROR',
        `more than the window of ${this.windowBytes} bytes was sent`,
      );
  }

  /** While it is held nothing is given back. @returns as `took` */
  hold(isHeld: boolean): number {
    this.#isHeld = isHeld;
    return this.took(0);
  }

  /** @returns by how much both windows are to grow now; 0: not yet, since an update for every frame is a frame more */
  took(bytes: number): number {
    this.#takenBytes += bytes;
    if (this.#isHeld || this.#takenBytes * 2 < this.windowBytes) return 0;
    const giveBackBytes = this.#takenBytes;
    this.#takenBytes = 0;
    this.#leftBytes += giveBackBytes;
    return giveBackBytes;
  }
}
