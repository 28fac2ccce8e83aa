/** Where an export puts a volume's content: target-file.ts and target-stream.ts. */
import type { ContentDigest } from './content-digest.js';
import type { Piece } from './piece.js';
import type { TransferProgress } from './transfer-progress.js';

export interface Target {
  /** For messages: the path, or "standard output". */
  readonly name: string;
  /** Takes the next piece; pieces come in order and without gaps. @throws CommandError */
  write(piece: Piece): Promise<void>;
  /** Everything was written: makes it last. @throws CommandError */
  finish(sizeBytes: number): Promise<void>;
  /** Reads back what was written; undefined when the target cannot. @throws CommandError */
  readBack(progress: TransferProgress, signal: AbortSignal): Promise<ContentDigest | undefined>;
  /** Gives the content its name. @throws CommandError */
  commit(): Promise<void>;
  /** Removes what was written; does nothing after `commit`. */
  abandon(): Promise<void>;
}
