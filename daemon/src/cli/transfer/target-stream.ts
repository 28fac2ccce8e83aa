/** Standard output as the target of an export: every byte in order, zeroes included. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { fileFailure } from '../command-failure.js';
import { PIECE_BYTES, type Piece } from './piece.js';
import type { Target } from './target.js';

const ZEROES = Buffer.alloc(PIECE_BYTES);

export class TargetStream implements Target {
  constructor(
    readonly name: string,
    readonly stream: Writable,
    readonly signal: AbortSignal,
  ) {}

  async write(piece: Piece): Promise<void> {
    if (piece.data !== undefined) {
      await this.#write(piece.data);
      return;
    }
    for (let doneBytes = 0; doneBytes < piece.lengthBytes; doneBytes += PIECE_BYTES) {
      const lengthBytes = Math.min(PIECE_BYTES, piece.lengthBytes - doneBytes);
      await this.#write(ZEROES.subarray(0, lengthBytes));
    }
  }

  /** Resolves when the last byte has been handed to the reader. */
  async finish(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.stream.write('', (error) => {
        if (error) reject(fileFailure(error, 'write', this.name));
        else resolve();
      });
    });
  }

  readBack(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  commit(): Promise<void> {
    return Promise.resolve();
  }

  abandon(): Promise<void> {
    return Promise.resolve();
  }

  async #write(data: Buffer): Promise<void> {
    try {
      // Rejects with the stream's error, so that a reader who went away ends the export.
      if (this.stream.errored) throw this.stream.errored;
      if (!this.stream.write(data)) {
        await once(this.stream, 'drain', { signal: this.signal });
      }
    } catch (error) {
      this.signal.throwIfAborted();
      throw fileFailure(error, 'write', this.name);
    }
  }
}
