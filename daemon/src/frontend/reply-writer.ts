/** The replies of one NBD client, in the form that its connection agreed on. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import {
  READ_HEADER_BYTES_MAX,
  READ_PART_BYTES_MAX,
  SIMPLE_REPLY_BYTES,
  encodeBlockStatusReply,
  encodeErrorReply,
  writeDoneReply,
  writeReadHeader,
  writeReadPart,
  writeSimpleReply,
  type NegotiatedSession,
} from 'nbd-server-helpers';
import type { BlockError } from '../block/block-error.js';
import { payloadBytes, type BlockResult } from '../block/block-request.js';
import { isZeroPiece } from '../block/zeroes.js';
import { NBD_ERRNO } from './nbd-errno.js';
import type { NbdJob } from './nbd-job.js';
import { letGo, letGoAll } from '../runtime/reused-memory.js';
import { WriteGatherer } from '../runtime/write-gatherer.js';

export class ReplyWriter {
  readonly #buffer: WriteGatherer;
  readonly #kind: NegotiatedSession['replyKind'];
  readonly #metaContextId: number;
  /** Data that goes out from where it lies, since the last flush. */
  #lying: Buffer[] = [];

  constructor(socket: Socket, agreed: Pick<NegotiatedSession, 'replyKind' | 'metaContexts'>) {
    this.#buffer = new WriteGatherer(socket);
    this.#kind = agreed.replyKind;
    this.#metaContextId = agreed.metaContexts[0]?.id ?? 0;
  }

  /** Hands what was written to the socket. */
  flush(): void {
    if (this.#lying.length === 0) {
      this.#buffer.flush();
      return;
    }
    const written = this.#lying;
    this.#lying = [];
    this.#buffer.flush(() => {
      letGoAll(written);
    });
  }

  completed(job: NbdJob, result: BlockResult): void {
    if (result.error !== undefined) this.error(job, result.error);
    else if (job.kind === 'read') this.#read(job, result.payload);
    else if (job.kind === 'block-status') this.#blockStatus(job, result);
    else this.#done(job);
  }

  error(
    request: Pick<NbdJob, 'cookieHigh' | 'cookieLow' | 'offsetBytes'>,
    error: BlockError,
  ): void {
    const { cookieHigh, cookieLow, offsetBytes } = request;
    const errno = NBD_ERRNO[error.errno];
    if (this.#kind === 'simple') {
      const slab = this.#buffer.reserve(SIMPLE_REPLY_BYTES);
      const at = this.#buffer.position;
      this.#buffer.advance(writeSimpleReply(slab, at, errno, cookieHigh, cookieLow));
    } else {
      this.#buffer.push(
        encodeErrorReply(this.#kind, cookieHigh, cookieLow, errno, error.reason, offsetBytes),
      );
    }
  }

  #done(job: NbdJob): void {
    const slab = this.#buffer.reserve(READ_HEADER_BYTES_MAX);
    const at = this.#buffer.position;
    this.#buffer.advance(
      writeDoneReply(this.#kind, slab, at, job.cookieHigh, job.cookieLow, job.offsetBytes),
    );
  }

  /** The data is at hand before the header is written: an error can always be told. */
  #read(job: NbdJob, data: readonly Buffer[]): void {
    // The client would take what follows for the rest of it.
    assert(payloadBytes(data) === job.lengthBytes, 'a read is as long as it was asked for');
    if (this.#kind !== 'simple' && data.some(isZeroPiece)) {
      const runs = runsOf(data);
      if (!job.isUndivided || runs.length === 1) {
        this.#readInParts(this.#kind, job, runs);
        return;
      }
    }
    const slab = this.#buffer.reserve(READ_HEADER_BYTES_MAX);
    const at = this.#buffer.position;
    const { cookieHigh, cookieLow, offsetBytes } = job;
    this.#buffer.advance(
      this.#kind === 'simple'
        ? writeSimpleReply(slab, at, 0, cookieHigh, cookieLow)
        : writeReadHeader(
            this.#kind,
            slab,
            at,
            cookieHigh,
            cookieLow,
            offsetBytes,
            job.lengthBytes,
          ),
    );
    for (const piece of data) this.#data(piece);
  }

  /** Data as it is, of holes their lengths. */
  #readInParts(kind: 'structured' | 'extended', job: NbdJob, runs: readonly Run[]): void {
    const { cookieHigh, cookieLow } = job;
    let offsetBytes = job.offsetBytes;
    for (const [index, { isHole, lengthBytes, pieces }] of runs.entries()) {
      const part = { isHole, offsetBytes, lengthBytes, isLast: index === runs.length - 1 };
      const slab = this.#buffer.reserve(READ_PART_BYTES_MAX);
      const at = this.#buffer.position;
      this.#buffer.advance(
        writeReadPart(kind, slab, at, cookieHigh, cookieLow, job.offsetBytes, part),
      );
      if (!isHole) for (const piece of pieces) this.#data(piece);
      offsetBytes += lengthBytes;
    }
  }

  #data(piece: Buffer): void {
    if (this.#buffer.push(piece)) letGo(piece);
    else this.#lying.push(piece);
  }

  #blockStatus(job: NbdJob, result: BlockResult): void {
    const extents = result.extents.map(({ lengthBytes, hole, zero }) => ({
      lengthBytes,
      flags: (hole ? 1 : 0) + (zero ? 2 : 0),
    }));
    const { cookieHigh, cookieLow, offsetBytes } = job;
    this.#buffer.push(
      encodeBlockStatusReply(
        this.#kind,
        cookieHigh,
        cookieLow,
        this.#metaContextId,
        extents,
        offsetBytes,
      ),
    );
  }
}

/** Neighbouring pieces that are all data or all holes. */
interface Run {
  readonly isHole: boolean;
  readonly pieces: Buffer[];
  lengthBytes: number;
}

function runsOf(data: readonly Buffer[]): Run[] {
  const runs: Run[] = [];
  for (const piece of data) {
    const isHole = isZeroPiece(piece);
    const last = runs.at(-1);
    if (last?.isHole === isHole) {
      last.pieces.push(piece);
      last.lengthBytes += piece.length;
    } else runs.push({ isHole, pieces: [piece], lengthBytes: piece.length });
  }
  return runs;
}
