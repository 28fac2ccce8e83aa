/** An end of a connection with one stream, without a socket, and everything that it told, in order. */
import type { HeaderField } from '#daemon/http2/header-field.js';
import { SingleStream } from '#daemon/http2/single-stream.js';
import { MAGIC, settings } from './http2-frames.js';

export const WINDOW_BYTES = 100_000;
export const FRAME_BYTES_MAX = 20_000;

export class HeardStream {
  /** `control HEX`, `headers {...}`, `trailers {...}`, `data TEXT`, `ended`, `aborted WHY`, `room`, `answered`. */
  readonly heard: string[] = [];
  /** What is to be sent at once, of all events. */
  readonly control: Buffer[] = [];
  /** Data goes here, and only its length into `heard`. */
  readonly data: Buffer[] = [];
  readonly stream: SingleStream;

  constructor(
    readonly role: 'client' | 'server',
    options: { windowBytes?: number; frameBytesMax?: number } = {},
  ) {
    const { windowBytes = WINDOW_BYTES, frameBytesMax = FRAME_BYTES_MAX } = options;
    this.stream = new SingleStream(
      { role, windowBytes, frameBytesMax, extensions: [[0xfb1f, 1]] },
      {
        control: (bytes) => {
          this.control.push(Buffer.from(bytes));
          this.heard.push('control');
        },
        headers: (fields, isLast) =>
          this.heard.push(`${isLast ? 'trailers' : 'headers'} ${text(fields)}`),
        data: (view) => {
          this.data.push(Buffer.from(view));
          // Whatever the pieces, the same is told.
          if (this.heard.at(-1) !== 'data') this.heard.push('data');
        },
        ended: () => this.heard.push('ended'),
        aborted: (reason) => this.heard.push(`aborted ${reason}`),
        room: () => this.heard.push('room'),
        answered: () => this.heard.push('answered'),
      },
    );
  }

  /** Has heard the peer's first frames, and forgotten them. */
  static begun(
    role: 'client' | 'server',
    options: { windowBytes?: number; frameBytesMax?: number } = {},
  ): HeardStream {
    const stream = new HeardStream(role, options);
    stream.receive(firstBytes(role));
    stream.heard.length = 0;
    stream.control.length = 0;
    return stream;
  }

  receive(...chunks: readonly Buffer[]): this {
    for (const chunk of chunks) this.stream.receive(chunk);
    return this;
  }
}

/** What the peer of such an end says first. */
export function firstBytes(role: 'client' | 'server'): Buffer {
  return role === 'server' ? Buffer.concat([MAGIC, settings()]) : settings();
}

function text(fields: readonly HeaderField[]): string {
  return fields.map(([name, value]) => `${name}=${value}`).join(' ');
}
