/**
 * Import: makes a volume's content equal to a source followed by zeroes, durable, and proves it by
 * reading back. What was on the volume before is gone, also below holes of the source.
 *
 * It succeeds only if one run of the node took every byte and the final flush: when the session ends in
 * between, or the node's write verifier changes, the import fails and is to be run again. There is no
 * reconnecting here, so there is nothing that could silently be left out.
 */
import { flushRequest, rangeRequest, writeRequest } from '../../block/block-request.js';
import { CommandError } from '../exit-codes.js';
import { exactBytes, formatBytes } from '../../config/quantity.js';
import { ContentDigest } from './content-digest.js';
import { InOrder } from './in-order.js';
import { roundUp, splitIntoRuns, type Piece, type Run } from './piece.js';
import type { Source } from './source.js';
import type { TransferProgress } from './transfer-progress.js';
import { volumePieces } from './volume-pieces.js';
import type { VolumeSession } from './volume-session.js';

/**
 * Length of one write-zeroes request when the node punches holes: long enough that zeroing 20 TiB takes
 * some ten thousand requests.
 */
const FAST_ZERO_BYTES = 1024 * 1024 * 1024;
/** The same when the node has to write the zeroes: short enough not to hold up its other volumes. */
const SLOW_ZERO_BYTES = 8 * 1024 * 1024;

/** How much is read back afterwards: every byte, all that the node does not report as zeroes, nothing. */
export type VerifyMode = 'full' | 'data' | 'none';

export interface ImportOptions {
  readonly session: VolumeSession;
  readonly source: Source;
  readonly verify: VerifyMode;
  readonly progress: TransferProgress;
}

export interface ImportOutcome {
  /** Length of the source. */
  readonly sourceBytes: number;
  /** Bytes sent as data. */
  readonly dataBytes: number;
  /** Bytes made zero without sending them. */
  readonly zeroBytes: number;
}

/** @throws StorageError, BlockError or CommandError; the volume's content is then undefined */
export async function importVolume(options: ImportOptions): Promise<ImportOutcome> {
  const { session, source, verify, progress } = options;
  const { volume } = session.facts;
  const digest = new ContentDigest();
  const writer = new RunWriter(session);

  progress.begin('import', source.sizeBytes);
  let sourceBytes = 0;
  for await (const piece of source.pieces(session.over)) {
    sourceBytes = piece.offsetBytes + piece.lengthBytes;
    if (sourceBytes > volume.sizeBytes) throw tooSmall(volume, source);
    digest.add(piece);
    for (const run of splitIntoRuns(padToBlock(piece, volume.blockBytes))) await writer.write(run);
    progress.reached(sourceBytes);
  }
  await writer.zeroUpTo(volume.sizeBytes);
  await writer.finish();
  progress.end();

  if (verify !== 'none') await verifyVolume(session, digest, verify, progress);
  return { sourceBytes, dataBytes: writer.dataBytes, zeroBytes: writer.zeroBytes };
}

/** The refusal to import something longer than the volume. */
export function tooSmall(
  volume: { readonly name: string; readonly sizeBytes: number },
  source: Source,
): CommandError {
  const size = source.sizeBytes === undefined ? 'more' : formatBytes(source.sizeBytes);
  const hint =
    source.sizeBytes === undefined ? 'SIZE' : exactBytes(roundUp(source.sizeBytes, 4096));
  return new CommandError(
    'refused',
    `volume ${volume.name} has ${formatBytes(volume.sizeBytes)}, ${source.name} has ${size}; ` +
      `make the volume larger first: blkferry volume resize ${volume.name} ${hint}`,
  );
}

async function verifyVolume(
  session: VolumeSession,
  expected: ContentDigest,
  mode: VerifyMode,
  progress: TransferProgress,
): Promise<void> {
  const { volume } = session.facts;
  const found = new ContentDigest();
  progress.begin('verify', volume.sizeBytes);
  for await (const piece of volumePieces(session, { trustZeroes: mode === 'data' })) {
    found.add(piece);
    progress.reached(piece.offsetBytes + piece.lengthBytes);
  }
  progress.end();
  const difference = expected.firstDifference(found);
  if (difference === undefined) return;
  const from = difference.offsetBytes;
  const to = Math.min(from + difference.lengthBytes, volume.sizeBytes);
  throw new CommandError(
    'verification-failed',
    `volume ${volume.name} reads back differently from what was written, first between byte ${from} ` +
      `and byte ${to}; do not use it: check the node's log, disk and memory, and run the import again`,
  );
}

/** Fills the last piece of a source up to a whole block. */
function padToBlock(piece: Piece, blockBytes: number): Piece {
  const lengthBytes = roundUp(piece.lengthBytes, blockBytes);
  if (lengthBytes === piece.lengthBytes) return piece;
  if (piece.data === undefined) return { ...piece, lengthBytes };
  const padding = Buffer.alloc(lengthBytes - piece.lengthBytes);
  return { ...piece, lengthBytes, data: Buffer.concat([piece.data, padding]) };
}

/** Sends runs in ascending order; zero runs that touch become one. */
class RunWriter {
  dataBytes = 0;
  zeroBytes = 0;
  /** Where the content that has been given ends. */
  #endBytes = 0;
  /** Zeroes given and not sent yet begin here and go up to #endBytes. */
  #zeroFromBytes = 0;
  readonly #underWay: InOrder<unknown>;

  constructor(readonly session: VolumeSession) {
    this.#underWay = new InOrder(session.requestsInFlightMax);
  }

  async write(run: Run): Promise<void> {
    const { data } = run;
    if (data !== undefined) {
      await this.#sendZeroes();
      await this.#sendData(run.offsetBytes, data);
      this.#zeroFromBytes = run.offsetBytes + run.lengthBytes;
    }
    this.#endBytes = run.offsetBytes + run.lengthBytes;
  }

  async zeroUpTo(endBytes: number): Promise<void> {
    this.#endBytes = endBytes;
    await this.#sendZeroes();
  }

  /** Waits for everything sent and makes it durable. */
  async finish(): Promise<void> {
    while (this.#underWay.count > 0) await this.#underWay.shift();
    await this.session.submit(flushRequest());
  }

  async #sendData(offsetBytes: number, data: Buffer): Promise<void> {
    const stepBytes = this.session.requestBytes;
    for (let doneBytes = 0; doneBytes < data.length; doneBytes += stepBytes) {
      const part = data.subarray(doneBytes, doneBytes + stepBytes);
      await this.#room();
      this.#underWay.push(this.session.submit(writeRequest(offsetBytes + doneBytes, part)));
      this.dataBytes += part.length;
    }
  }

  async #sendZeroes(): Promise<void> {
    const { canFastZero } = this.session.facts.capabilities;
    const stepBytes = canFastZero ? FAST_ZERO_BYTES : SLOW_ZERO_BYTES;
    while (this.#zeroFromBytes < this.#endBytes) {
      const lengthBytes = Math.min(stepBytes, this.#endBytes - this.#zeroFromBytes);
      await this.#room();
      const request = rangeRequest('write-zeroes', this.#zeroFromBytes, lengthBytes);
      this.#underWay.push(this.session.submit(request));
      this.#zeroFromBytes += lengthBytes;
      this.zeroBytes += lengthBytes;
    }
  }

  async #room(): Promise<void> {
    if (this.#underWay.full) await this.#underWay.shift();
  }
}
