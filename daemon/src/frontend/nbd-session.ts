/**
 * The transmission phase of one NBD connection: received chunks → requests → device → replies. The
 * handshake is nbd-connection.ts; a kernel device begins here, without one.
 *
 * When the device has no room, or the client does not read its replies, requests wait as they came and
 * the socket is not read: the limit reaches the client instead of filling memory. What waits is small:
 * what Node reads in one turn of the event loop, 2 MiB at most, and the data is in it.
 *
 * A client that has gone may have asked the same again on another connection, been answered, and written newer data
 * since: a request of before must not come after that. So what has waited is executed only if the client is still
 * there; and if it has other connections, nothing that changes data is executed before that was asked.
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
} from 'nbd-server-helpers';
import type { BlockError } from '../block/block-error.js';
import type { BlockResult } from '../block/block-request.js';
import type { PacedBlockDevice } from '../block/block-device.js';
import { NBD_ERRNO } from './nbd-errno.js';
import { NbdJob, toNbdJob, type AgreedFeatures } from './nbd-job.js';
import type { NbdSessionOptions } from './nbd-session-options.js';
import { isPeerGone } from './peer-presence.js';
import { ReplyBuffer } from './reply-buffer.js';
import { WaitingRequests } from './waiting-requests.js';

/**
 * Most bytes of data that one client may be owed: reads under way, and replies that it has not taken. One
 * longest request (32 MiB) always goes; at 1 MiB this is a depth of 32.
 */
export const OWED_BYTES_MAX = 32 * 1024 * 1024;

/**
 * What Node reads from a socket at once. A chunk this long is rarely the end: 16 writes of 4 KiB are 66 KiB.
 * Node reads on in the same turn of the event loop, and what comes belongs to the same batch.
 */
const FULL_CHUNK_BYTES = 64 * 1024;

/** What must not come after something newer. */
const CHANGES: ReadonlySet<number> = new Set([NBD_CMD.WRITE, NBD_CMD.TRIM, NBD_CMD.WRITE_ZEROES]);

export class NbdSession {
  readonly #socket: Socket;
  readonly #device: PacedBlockDevice;
  readonly #requests: RequestStream;
  readonly #replies: ReplyBuffer;
  readonly #features: AgreedFeatures;
  readonly #metaContextId: number;
  readonly #waiting = new WaitingRequests();
  #waitsForRoom = false;
  /** What comes next may have been sent before the session began to wait for room. */
  #mayBeLate = false;
  #unanswered = 0;
  /** Of reads taken in and not yet answered. */
  #readBytes = 0;
  #turnEnds = false;
  /** 'ending': the client sends nothing more; 'stopping': we take in nothing more; 'gone': nobody listens. */
  #state: 'serving' | 'ending' | 'stopping' | 'gone' = 'serving';
  #stopped: (() => void) | undefined;
  #saidGoodbye = false;

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
    this.#socket.on('drain', this.#takeIn);
  }

  /** The client sent a disconnect request, rather than just to be gone. */
  get saidGoodbye(): boolean {
    return this.#saidGoodbye;
  }

  /** @throws NbdProtocolError when the stream cannot be trusted any more: the caller closes the connection */
  receive(chunk: Buffer): void {
    if (this.#state !== 'serving') return;
    this.#waiting.push(this.#requests.push(chunk));
    if (chunk.length < FULL_CHUNK_BYTES && this.options.isEncrypted !== true) {
      this.#takeIn();
      // The socket is empty: whatever comes next is sent from now on, and read before others can answer it.
      if (!this.#socket.isPaused()) this.#mayBeLate = false;
    } else setImmediate(this.#takeIn);
  }

  /** The client sends nothing more: answers what it sent, then ends the connection. */
  finish(): void {
    if (this.#state !== 'serving') return;
    this.#state = 'ending';
    this.#endWhenAnswered();
  }

  /** Takes in nothing more, answers what is in flight. Resolves when the last answer is handed to the socket. */
  stop(): Promise<void> {
    if (this.#state === 'gone') return Promise.resolve();
    this.#state = 'stopping';
    this.#waiting.clear();
    this.#socket.pause();
    return new Promise((resolve) => {
      this.#stopped = resolve;
      this.#endWhenAnswered();
    });
  }

  /** The connection is gone. What is in flight completes unheard. */
  abandon(): void {
    this.#state = 'gone';
    this.#waiting.clear();
    this.#stopped?.();
  }

  /** Takes in what waits, as far as device and client have room; reads the socket only when nothing waits. */
  readonly #takeIn = (): void => {
    if (this.#state === 'stopping' || this.#state === 'gone') return;
    let isThere = !this.#mayBeLate && !this.options.hasOtherConnections();
    for (;;) {
      if (!this.#hasRoom()) {
        this.#mayBeLate = true;
        this.#socket.pause();
        return;
      }
      const request = this.#waiting.first;
      if (request === undefined) break;
      if (!isThere && CHANGES.has(request.command)) {
        if (isPeerGone(this.#socket)) {
          this.#drop();
          return;
        }
        isThere = true;
      }
      this.#waiting.shift();
      if (request.command === NBD_CMD.DISC) {
        this.#saidGoodbye = true;
        this.#waiting.clear();
        // Also if it has closed its half meanwhile: that did not end the session, because this waited.
        this.#state = 'ending';
        this.#endWhenAnswered();
        return;
      }
      this.#accept(request);
    }
    if (this.#socket.isPaused()) this.#socket.resume();
    if (this.#state === 'ending') this.#endWhenAnswered();
  };

  #drop(): void {
    this.abandon();
    this.options.onDropped(
      'the client went away before requests of it were taken in; they are dropped',
    );
    this.#socket.destroy();
  }

  #hasRoom(): boolean {
    if (this.#readBytes + this.#socket.writableLength >= OWED_BYTES_MAX) return false;
    if (this.#device.hasRoom()) return true;
    if (!this.#waitsForRoom) {
      this.#waitsForRoom = true;
      this.#device.whenRoom(() => {
        this.#waitsForRoom = false;
        this.#takeIn();
      });
    }
    return false;
  }

  #accept(request: NbdRequest): void {
    this.#unanswered += 1;
    const job = toNbdJob(request, this.#features);
    if (job instanceof NbdJob) {
      if (job.kind === 'read') this.#readBytes += job.lengthBytes;
      this.#device.submit(job, this.#onCompleted);
    } else {
      this.options.onRefused(request, job);
      this.#replyError(request, job);
      this.#answered();
    }
  }

  readonly #onCompleted = (job: NbdJob, result: BlockResult): void => {
    if (this.#state === 'gone') return;
    if (job.kind === 'read') this.#readBytes -= job.lengthBytes;
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
    if (this.#state === 'gone') return;
    this.#replies.flush();
    if (this.#socket.isPaused()) this.#takeIn();
    this.#endWhenAnswered();
  };

  #endWhenAnswered(): void {
    if (this.#state === 'serving' || this.#state === 'gone') return;
    if (this.#unanswered > 0 || this.#waiting.first !== undefined) return;
    this.#replies.flush();
    if (!this.#socket.writableEnded) this.#socket.end();
    this.#stopped?.();
  }
}
