/** Where an import takes its content from: source-file.ts and source-stream.ts. */
import type { Piece } from './piece.js';

export interface Source {
  /** For messages: the path, or "standard input". */
  readonly name: string;
  /** Undefined for a stream, which ends when it ends. */
  readonly sizeBytes: number | undefined;
  /**
   * The content once, from the first byte to the last, on the grid of piece.ts and without gaps.
   * @throws CommandError when it cannot be read, or is not what it was when it was opened; the signal's
   *   reason when it was aborted
   */
  pieces(signal: AbortSignal): AsyncGenerator<Piece, void, void>;
  close(): Promise<void>;
}
