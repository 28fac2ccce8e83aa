/**
 * Reads a whole volume as pieces, in order, several reads in flight. Ranges that the node reports as
 * zeroes are not read when the caller trusts the report.
 */
import { joined, rangeRequest, readRequest } from '../../block/block-request.js';
import { isZeroPiece } from '../../block/zeroes.js';
import { StorageError } from '../../rpc/storage-error.js';
import { InOrder } from './in-order.js';
import { PIECE_BYTES, pieceStart, type Piece } from './piece.js';
import type { VolumeSession } from './volume-session.js';

/**
 * Range of one block-status request. Any length is allowed; this one keeps a node with a slow map from
 * answering a single request for seconds.
 */
const STATUS_BYTES = 1024 * 1024 * 1024;

export interface VolumePieceOptions {
  /** True: what the node reports as zeroes is not read. False: every byte is read. */
  readonly trustZeroes: boolean;
}

/** @throws what VolumeSession.submit throws */
export async function* volumePieces(
  session: VolumeSession,
  options: VolumePieceOptions,
): AsyncGenerator<Piece, void, void> {
  const { sizeBytes } = session.facts.volume;
  const trustZeroes = options.trustZeroes && session.facts.capabilities.canBlockStatus;
  const zeroes = new ReportedZeroes(session, sizeBytes);
  const underWay = new InOrder<Piece>(session.requestsInFlightMax);
  let nextBytes = 0;
  while (nextBytes < sizeBytes || underWay.count > 0) {
    while (nextBytes < sizeBytes && !underWay.full) {
      const endOfZeroes = trustZeroes ? await zeroes.endOfRun(nextBytes) : nextBytes;
      const dataStart = endOfZeroes < sizeBytes ? pieceStart(endOfZeroes) : sizeBytes;
      const offsetBytes = nextBytes;
      if (dataStart > offsetBytes) {
        const lengthBytes = dataStart - offsetBytes;
        underWay.push(Promise.resolve({ offsetBytes, lengthBytes, data: undefined }));
        nextBytes = dataStart;
      } else {
        const lengthBytes = Math.min(PIECE_BYTES, sizeBytes - offsetBytes);
        underWay.push(readPiece(session, offsetBytes, lengthBytes));
        nextBytes = offsetBytes + lengthBytes;
      }
    }
    const piece = await underWay.shift();
    if (piece !== undefined) yield piece;
  }
}

/** One piece; in several reads, one after the other, when the node takes only smaller ones. */
async function readPiece(
  session: VolumeSession,
  offsetBytes: number,
  lengthBytes: number,
): Promise<Piece> {
  const parts: Buffer[] = [];
  for (let doneBytes = 0; doneBytes < lengthBytes;) {
    const partBytes = Math.min(session.requestBytes, lengthBytes - doneBytes);
    const result = await session.submit(readRequest(offsetBytes + doneBytes, partBytes));
    parts.push(...result.payload);
    doneBytes += partBytes;
  }
  const data = parts.every(isZeroPiece) ? undefined : joined(parts);
  return { offsetBytes, lengthBytes, data };
}

interface ReportedRun {
  readonly endBytes: number;
  readonly zero: boolean;
}

/** What block-status says, asked for as the reader goes on. Offsets asked about must not go back. */
class ReportedZeroes {
  #runs: ReportedRun[] = [];

  constructor(
    readonly session: VolumeSession,
    readonly sizeBytes: number,
  ) {}

  /** @returns the first byte from `offsetBytes` on that is not reported as zero; the size at the end. */
  async endOfRun(offsetBytes: number): Promise<number> {
    let atBytes = offsetBytes;
    while (atBytes < this.sizeBytes) {
      let run = this.#runs.find((known) => known.endBytes > atBytes);
      if (run === undefined) {
        await this.#ask(atBytes);
        run = this.#runs[0];
      }
      if (run === undefined || !run.zero) return atBytes;
      atBytes = Math.min(run.endBytes, this.sizeBytes);
    }
    return this.sizeBytes;
  }

  async #ask(offsetBytes: number): Promise<void> {
    const { blockBytes } = this.session.facts.volume;
    // A node should report whole blocks; if not, the block in question is asked for again.
    const fromBytes = offsetBytes - (offsetBytes % blockBytes);
    const lengthBytes = Math.min(STATUS_BYTES, this.sizeBytes - fromBytes);
    const result = await this.session.submit(rangeRequest('block-status', fromBytes, lengthBytes));
    let endBytes = fromBytes;
    this.#runs = result.extents.map((extent) => {
      endBytes += extent.lengthBytes;
      return { endBytes, zero: extent.zero };
    });
    this.#runs = this.#runs.filter((run) => run.endBytes > offsetBytes);
    if (this.#runs.length === 0) {
      throw new StorageError(
        'internal',
        `block-status at ${fromBytes} was answered with no length`,
      );
    }
  }
}
