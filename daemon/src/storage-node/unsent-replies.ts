/**
 * What was handed to gRPC for a client and is not on its way yet. When it is too much, the client's requests
 * are not read any more: somebody who does not take his answers gets no room for further ones.
 */

/**
 * Twice the flow-control window: less would leave the wire empty now and then, more is memory for a client
 * that has enough to read.
 */
export const UNSENT_BYTES_MAX = 16 * 1024 * 1024;
/** The same for small frames. */
export const UNSENT_FRAMES_MAX = 256;

/** The part of a Node stream that is used. */
export interface PausableStream<Frame> {
  write(frame: Frame, onSent: () => void): boolean;
  pause(): unknown;
  resume(): unknown;
}

export class UnsentReplies<Frame> {
  /** Under way, in order, with their lengths. */
  readonly #frames: Frame[] = [];
  readonly #frameBytes: number[] = [];
  #bytes = 0;
  #paused = false;
  #closed = false;

  /** @param sent hears of each frame that has gone */
  constructor(
    readonly stream: PausableStream<Frame>,
    readonly sent: (frame: Frame) => void,
  ) {}

  /** Sends a frame of about so many bytes. */
  send(frame: Frame, bytes: number): void {
    this.#frames.push(frame);
    this.#frameBytes.push(bytes);
    this.#bytes += bytes;
    this.stream.write(frame, this.#onSent);
    if (this.#paused || !this.#isFull()) return;
    this.#paused = true;
    this.stream.pause();
  }

  /** Requests are not read again, whatever is sent. */
  stopReading(): void {
    this.#closed = true;
    this.stream.pause();
  }

  readonly #onSent = (): void => {
    this.#bytes -= this.#frameBytes.shift() ?? 0;
    const frame = this.#frames.shift();
    if (frame !== undefined) this.sent(frame);
    if (!this.#paused || this.#closed || this.#isFull()) return;
    this.#paused = false;
    this.stream.resume();
  };

  #isFull(): boolean {
    return this.#bytes >= UNSENT_BYTES_MAX || this.#frameBytes.length >= UNSENT_FRAMES_MAX;
  }
}
