/**
 * Export: copies a volume's content to a target, leaving out what the node reports as zeroes, and
 * verifies the target against what was received (which a checksum covered on its way).
 */
import { CommandError } from '../exit-codes.js';
import { ContentDigest } from './content-digest.js';
import { splitIntoRuns } from './piece.js';
import type { Target } from './target.js';
import type { TransferProgress } from './transfer-progress.js';
import { volumePieces } from './volume-pieces.js';
import type { VolumeSession } from './volume-session.js';

export interface ExportOptions {
  readonly session: VolumeSession;
  readonly target: Target;
  readonly verify: boolean;
  readonly progress: TransferProgress;
  /** Aborted with the reason to stop. */
  readonly signal: AbortSignal;
}

export interface ExportOutcome {
  readonly sizeBytes: number;
  /** Bytes that are not zero, in granules. */
  readonly dataBytes: number;
  /** False also when the target cannot be read back. */
  readonly verified: boolean;
}

/**
 * @throws StorageError, BlockError or CommandError; the caller abandons the target, which is harmless
 *   after success
 */
export async function exportVolume(options: ExportOptions): Promise<ExportOutcome> {
  const { session, target, progress } = options;
  const { sizeBytes } = session.facts.volume;
  const received = new ContentDigest();
  let dataBytes = 0;
  progress.begin('export', sizeBytes);
  for await (const piece of volumePieces(session, { trustZeroes: true })) {
    options.signal.throwIfAborted();
    for (const run of splitIntoRuns(piece))
      if (run.data !== undefined) dataBytes += run.lengthBytes;
    received.add(piece);
    await target.write(piece);
    progress.reached(piece.offsetBytes + piece.lengthBytes);
  }
  await target.finish(sizeBytes);
  progress.end();

  const written = options.verify ? await target.readBack(progress, options.signal) : undefined;
  const difference = written === undefined ? undefined : received.firstDifference(written);
  if (difference !== undefined) {
    const from = difference.offsetBytes;
    const to = Math.min(from + difference.lengthBytes, sizeBytes);
    throw new CommandError(
      'verification-failed',
      `${target.name} reads back differently from what the node sent, first between byte ${from} and ` +
        `byte ${to}; it was removed: check this machine's disk and memory`,
    );
  }
  options.signal.throwIfAborted();
  await target.commit();
  return { sizeBytes, dataBytes, verified: written !== undefined };
}
