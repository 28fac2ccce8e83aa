/**
 * The transmission phase of one NBD connection: received chunks → requests → device → replies. The
 * handshake is nbd-connection.ts; a kernel device begins here, without one.
 *
 * When the device has no room, or the client does not read its replies, the socket is paused: the limit
 * reaches the client instead of filling memory.
 */
import type { Socket } from 'node:net';
import {
  NBD_CMD,
  READ_HEADER_BYTES_MAX,
  RequestStream,
  SIMPLE_REPLY_BYTES,
  encodeBlockStatusReply,
  encodeErrorReply,
  writeDoneReply,
  writeReadHeader,
  writeSimpleReply,
  type NbdRequest,
  type NegotiatedSession,
} from 'nbd-server-helpers';
import type { BlockError } from '../block/block-error.js';
import type { BlockResult } from '../block/block-request.js';
import type { PacedBlockDevice } from '../block/block-device.js';
import { NBD_ERRNO } from './nbd-errno.js';
import { NbdJob, toNbdJob, type AgreedFeatures } from './nbd-job.js';
import { ReplyBuffer } from './reply-buffer.js';

/** Why the socket is not read. */
const PAUSE = { deviceFull: 1, clientSlow: 2, stopping: 4 } as const;

export interface NbdSessionOptions {
  readonly socket: Socket;
  readonly device: PacedBlockDevice;
  readonly agreed: Pick<NegotiatedSession, 'replyKind' | 'extendedHeaders' | 'metaContexts'>;
  /** Most bytes of one write's payload. */
  readonly payloadBytesMax: number;
  /** A request that failed for a reason that the client is not told in full. */
  readonly onRefused: (request: NbdRequest | NbdJob, error: BlockError) => void;
}

export class NbdSession {
  readonly #socket: Socket;
  readonly #device: PacedBlockDevice;
  readonly #requests: RequestStream;
  readonly #replies: ReplyBuffer;
  readonly #features: AgreedFeatures;
  readonly #metaContextId: number;
  #unanswered = 0;
  #pauses = 0;
  #turnEnds = false;
  #ended = false;
  #stopped: (() => void) | undefined;

  constructor(readonly options: NbdSessionOptions) {
    const { agreed, payloadBytesMax } = options;
    this.#socket = options.socket;
    this.#device = options.device;
    this.#requests = new RequestStream({
      extendedHeaders: agreed.extendedHeaders,
      payloadBytesMax,
    });
    this.#replies = new ReplyBuffer(options.socket);
    this.#metaContextId = agreed.metaContexts[0]?.id ?? 0;
    this.#features = {
      structuredReplies: agreed.replyKind !== 'simple',
      extendedHeaders: agreed.extendedHeaders,
      blockStatus: agreed.metaContexts.length > 0,
    };
    this.#socket.on('drain', () => {
      this.#resume(PAUSE.clientSlow);
    });
  }

  /** Requests taken in and not yet answered. */
  get unanswered(): number {
    return this.#unanswered;
  }

  /** @throws NbdProtocolError when the stream cannot be trusted any more: the caller closes the connection */
  receive(chunk: Buffer): void {
    if (this.#ended) return;
    for (const request of this.#requests.push(chunk)) {
      if (request.command === NBD_CMD.DISC) {
        this.finish();
        return;
      }
      this.#accept(request);
    }
    if (!this.#device.hasRoom()) this.#pauseUntilRoom();
  }

  /** The client sends nothing more: answers what is in flight, then ends the connection. */
  finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#pause(PAUSE.stopping);
    this.#endWhenAnswered();
  }

  /** As `finish`, from our side. Resolves when the last answer is handed to the socket. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#stopped = resolve;
      if (this.#ended) this.#endWhenAnswered();
      else this.finish();
    });
  }

  /** The connection is gone. What is in flight completes unheard. */
  abandon(): void {
    this.#ended = true;
    this.#unanswered = -Infinity;
    this.#stopped?.();
  }

  #accept(request: NbdRequest): void {
    this.#unanswered += 1;
    const job = toNbdJob(request, this.#features);
    if (job instanceof NbdJob) {
      this.#device.submit(job, this.#onCompleted);
    } else {
      this.options.onRefused(request, job);
      this.#replyError(request, job);
      this.#answered();
    }
  }

  readonly #onCompleted = (job: NbdJob, result: BlockResult): void => {
    if (this.#unanswered < 0) return;
    if (result.error !== undefined) {
      this.options.onRefused(job, result.error);
      this.#replyError(job, result.error);
    } else if (job.kind === 'read') {
      this.#replyRead(job, result.payload);
    } else if (job.kind === 'block-status') {
      this.#replyBlockStatus(job, result);
    } else {
      this.#replyDone(job);
    }
    this.#answered();
  };

  #replyDone(job: NbdJob): void {
    const { replyKind } = this.options.agreed;
    const slab = this.#replies.reserve(READ_HEADER_BYTES_MAX);
    const at = this.#replies.position;
    this.#replies.advance(
      writeDoneReply(replyKind, slab, at, job.cookieHigh, job.cookieLow, job.offsetBytes),
    );
  }

  /** The data is at hand before the header is written: an error can always be told. */
  #replyRead(job: NbdJob, data: Buffer): void {
    const { replyKind } = this.options.agreed;
    const slab = this.#replies.reserve(READ_HEADER_BYTES_MAX);
    const at = this.#replies.position;
    const { cookieHigh, cookieLow, offsetBytes } = job;
    this.#replies.advance(
      replyKind === 'simple'
        ? writeSimpleReply(slab, at, 0, cookieHigh, cookieLow)
        : writeReadHeader(replyKind, slab, at, cookieHigh, cookieLow, offsetBytes, data.length),
    );
    this.#replies.push(data);
  }

  #replyBlockStatus(job: NbdJob, result: BlockResult): void {
    const extents = result.extents.map(({ lengthBytes, hole, zero }) => ({
      lengthBytes,
      flags: (hole ? 1 : 0) + (zero ? 2 : 0),
    }));
    const { replyKind } = this.options.agreed;
    const { cookieHigh, cookieLow, offsetBytes } = job;
    this.#replies.push(
      encodeBlockStatusReply(
        replyKind,
        cookieHigh,
        cookieLow,
        this.#metaContextId,
        extents,
        offsetBytes,
      ),
    );
  }

  #replyError(
    request: Pick<NbdJob, 'cookieHigh' | 'cookieLow' | 'offsetBytes'>,
    error: BlockError,
  ): void {
    const { replyKind } = this.options.agreed;
    const { cookieHigh, cookieLow, offsetBytes } = request;
    const errno = NBD_ERRNO[error.errno];
    if (replyKind === 'simple') {
      const slab = this.#replies.reserve(SIMPLE_REPLY_BYTES);
      const at = this.#replies.position;
      this.#replies.advance(writeSimpleReply(slab, at, errno, cookieHigh, cookieLow));
    } else {
      this.#replies.push(
        encodeErrorReply(replyKind, cookieHigh, cookieLow, errno, error.reason, offsetBytes),
      );
    }
  }

  #answered(): void {
    this.#unanswered -= 1;
    if (this.#turnEnds) return;
    this.#turnEnds = true;
    queueMicrotask(this.#endTurn);
  }

  /** Once per turn of the event loop in which something was answered. */
  readonly #endTurn = (): void => {
    this.#turnEnds = false;
    if (this.#unanswered < 0) return;
    if (!this.#replies.flush()) this.#pause(PAUSE.clientSlow);
    if (this.#ended) this.#endWhenAnswered();
  };

  #endWhenAnswered(): void {
    if (this.#unanswered > 0) return;
    this.#replies.flush();
    if (!this.#socket.writableEnded) this.#socket.end();
    this.#stopped?.();
  }

  #pauseUntilRoom(): void {
    if ((this.#pauses & PAUSE.deviceFull) !== 0) return;
    this.#pause(PAUSE.deviceFull);
    this.#device.whenRoom(() => {
      this.#resume(PAUSE.deviceFull);
    });
  }

  #pause(reason: number): void {
    if (this.#pauses === 0) this.#socket.pause();
    this.#pauses |= reason;
  }

  #resume(reason: number): void {
    if ((this.#pauses & reason) === 0) return;
    this.#pauses &= ~reason;
    if (this.#pauses === 0) this.#socket.resume();
  }
}
