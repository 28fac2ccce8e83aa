/**
 * Both directions of flow control (RFC 9113, section 5.2) for a connection with one stream: its window and the
 * connection's always have the same traffic, so that one count serves for what is received.
 */
import {
  DEFAULT_FRAME_BYTES_MAX,
  DEFAULT_WINDOW_BYTES,
  FRAME_BYTES_LIMIT,
  SETTING,
  WINDOW_BYTES_MAX,
} from './constants.js';
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

  /** The peer's SETTINGS, as far as they limit what we send. @throws Http2Error */
  learn(settings: Buffer): void {
    for (let at = 0; at < settings.length; at += 6)
      this.#learn(settings.readUInt16BE(at), settings.readUInt32BE(at + 2));
  }

  #learn(id: number, value: number): void {
    switch (id) {
      case SETTING.INITIAL_WINDOW_SIZE:
        if (value > WINDOW_BYTES_MAX)
          throw new Http2Error('FLOW_CONTROL_ERROR', `a window of ${value} bytes is not allowed`);
        // It changes the window of a stream that is there.
        this.#streamBytes = grown(this.#streamBytes, value - this.#initialBytes);
        this.#initialBytes = value;
        return;
      case SETTING.MAX_FRAME_SIZE:
        if (value < DEFAULT_FRAME_BYTES_MAX || value > FRAME_BYTES_LIMIT)
          throw new Http2Error('PROTOCOL_ERROR', `frames of ${value} bytes are not allowed`);
        this.#frameBytesMax = value;
        return;
      case SETTING.ENABLE_PUSH:
        if (value > 1)
          throw new Http2Error('PROTOCOL_ERROR', `ENABLE_PUSH is ${value}, not 0 or 1`);
        return;
      default:
        // Our encoder remembers nothing, our headers are short, and our stream is one.
        return;
    }
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
