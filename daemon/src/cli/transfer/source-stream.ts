/** Standard input, or any pipe, as a source: its size is known only at its end. */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileFailure } from '../command-failure.js';
import { PIECE_BYTES, type Piece } from './piece.js';
import type { Source } from './source.js';

export class SourceStream implements Source {
  readonly sizeBytes = undefined;

  constructor(
    readonly name: string,
    readonly stream: Readable,
  ) {}

  async *pieces(signal: AbortSignal): AsyncGenerator<Piece, void, void> {
    let offsetBytes = 0;
    let parts: Buffer[] = [];
    let partsBytes = 0;
    for await (const chunk of this.#chunks(signal)) {
      let rest = chunk;
      while (partsBytes + rest.length >= PIECE_BYTES) {
        const neededBytes = PIECE_BYTES - partsBytes;
        parts.push(rest.subarray(0, neededBytes));
        yield { offsetBytes, lengthBytes: PIECE_BYTES, data: Buffer.concat(parts) };
        offsetBytes += PIECE_BYTES;
        rest = rest.subarray(neededBytes);
        parts = [];
        partsBytes = 0;
      }
      if (rest.length > 0) parts.push(rest);
      partsBytes += rest.length;
    }
    if (partsBytes === 0) return;
    yield { offsetBytes, lengthBytes: partsBytes, data: Buffer.concat(parts) };
  }

  close(): Promise<void> {
    this.stream.destroy();
    return Promise.resolve();
  }

  async *#chunks(signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
    signal.throwIfAborted();
    const onAbort = (): void => {
      this.stream.destroy();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      for await (const chunk of this.stream) yield chunk as Buffer;
    } catch (error) {
      signal.throwIfAborted();
      throw fileFailure(error, 'read', this.name);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}

/** A named pipe, as in `blkferry import <(zcat image.gz) v1`. */
export function openPipe(path: string): SourceStream {
  return new SourceStream(path, createReadStream(path, { highWaterMark: PIECE_BYTES }));
}
