/**
 * The transmission phase of one NBD connection: received chunks → requests → device → replies. The
 * handshake is nbd-connection.ts; a kernel device begins here, without one.
 *
 * When the device has no room, or the client does not read its replies, requests wait as they came and
 * the socket is not read: the limit reaches the client instead of filling memory. What waits is small:
 * what Node reads in one turn of the event loop, some 2 MiB at most, and the data is in it.
 *
 * A client that has gone may have asked the same again on another connection, been answered, and written newer data
 * since: a request of before must not come after that. So what has waited is executed only if the client is still
 * there; and if it has other connections, nothing that changes data is executed before that was asked.
 */
import type { Socket } from 'node:net';
import { NBD_CMD, RequestStream, type NbdRequest } from 'nbd-server-helpers';
import type { BlockResult } from '../block/block-request.js';
import type { PacedBlockDevice } from '../block/block-device.js';
import { NbdJob, toNbdJob, type AgreedFeatures } from './nbd-job.js';
import type { NbdSessionOptions } from './nbd-session-options.js';
import { letGo } from '../runtime/reused-memory.js';
import { filledItsRoom } from '../runtime/receive-slab.js';
import { isPeerGone } from './peer-presence.js';
import { OWED_BYTES_MAX, type ReplyAccount } from './reply-budget.js';
import { ReplyWriter } from './reply-writer.js';
import { WaitingRequests } from './waiting-requests.js';

/** Of a turn's reads that go on; then what is there is taken in, and where there is no room for it the reading ends. */
const UNTAKEN_BYTES_MAX = 2 * 1024 * 1024;

/** For a client to read its last answers and go; it has been told that there is nothing more. */
export const PARTING_MS = 10_000;

/** What must not come after something newer. */
const CHANGES: ReadonlySet<number> = new Set([NBD_CMD.WRITE, NBD_CMD.TRIM, NBD_CMD.WRITE_ZEROES]);

export class NbdSession {
  readonly #socket: Socket;
  readonly #device: PacedBlockDevice;
  readonly #requests: RequestStream;
  readonly #replies: ReplyWriter;
  readonly #account: ReplyAccount | undefined;
  readonly #features: AgreedFeatures;
  readonly #waiting = new WaitingRequests();
  #waitsForRoom = false;
  /** Received since something was taken in. */
  #untakenBytes = 0;
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
    this.#replies = new ReplyWriter(options.socket, agreed);
    this.#account = options.budget?.open({
      takenBytes: () => this.#takenBytes(),
      giveWay: (reason) => {
        this.#drop(reason);
      },
    });
    this.#features = {
      structuredReplies: agreed.replyKind !== 'simple',
      extendedHeaders: agreed.extendedHeaders,
      blockStatus: agreed.metaContexts.length > 0,
    };
    this.#socket.on('drain', this.#drained);
  }

  /** The client sent a disconnect request, rather than just to be gone. */
  get saidGoodbye(): boolean {
    return this.#saidGoodbye;
  }

  /** Something that the client sent has no answer yet. */
  get isWaitedFor(): boolean {
    return this.#unanswered > 0 || this.#waiting.first !== undefined;
  }

  /** @throws NbdProtocolError when the stream cannot be trusted any more: the caller closes the connection */
  receive(chunk: Buffer): void {
    if (this.#state !== 'serving') return;
    this.#waiting.push(this.#requests.push(chunk));
    letGo(chunk, chunk.length - this.#requests.keptBytes);
    this.#untakenBytes += chunk.length;
    // A chunk that filled its room is rarely the end: what comes in this turn belongs to the same batch.
    const mayGoOn = this.options.isEncrypted === true || filledItsRoom(chunk);
    if (mayGoOn && this.#untakenBytes < UNTAKEN_BYTES_MAX) {
      setImmediate(this.#takeIn);
      return;
    }
    this.#takeIn();
    // The socket is empty: whatever comes next is sent from now on, and read before others can answer it.
    if (!mayGoOn && !this.#socket.isPaused()) this.#mayBeLate = false;
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
    this.#account?.close();
    this.#waiting.clear();
    this.#stopped?.();
  }

  /** Takes in what waits, as far as device and client have room; reads the socket only when nothing waits. */
  readonly #takeIn = (): void => {
    if (this.#state === 'stopping' || this.#state === 'gone') return;
    this.#untakenBytes = 0;
    let isThere = !this.#mayBeLate && !this.options.hasOtherConnections();
    for (;;) {
      const request = this.#waiting.first;
      if (!this.#hasRoom(request?.command === NBD_CMD.READ ? request.lengthBytes : 0)) {
        this.#mayBeLate = true;
        this.#socket.pause();
        return;
      }
      if (request === undefined) break;
      if (!isThere && CHANGES.has(request.command)) {
        if (isPeerGone(this.#socket)) {
          this.#drop('the client went away before requests of it were taken in; they are dropped');
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

  #drop(reason: string): void {
    this.abandon();
    this.options.onDropped(reason);
    this.#socket.destroy();
  }

  readonly #drained = (): void => {
    this.#reckon();
    this.#takeIn();
  };

  /** What the client is owed is another amount now. */
  #reckon(): void {
    this.#account?.owes(this.#readBytes + this.#socket.writableLength);
  }

  #takenBytes(): number {
    const { bytesWritten, writableLength } = this.#socket;
    return writableLength === 0 ? Infinity : bytesWritten - writableLength;
  }

  /** @param answerBytes of the next request; 0 if there is none yet */
  #hasRoom(answerBytes: number): boolean {
    if (this.#readBytes + this.#socket.writableLength >= OWED_BYTES_MAX) return false;
    if (this.#account?.hasRoom(answerBytes) === false) {
      this.#account.whenRoom(answerBytes, this.#takeIn);
      return false;
    }
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
      if (job.kind === 'read') {
        this.#readBytes += job.lengthBytes;
        this.#reckon();
      }
      this.#device.submit(job, this.#onCompleted);
    } else {
      this.options.onRefused(request, job);
      this.#replies.error(request, job);
      this.#answered();
    }
  }

  readonly #onCompleted = (job: NbdJob, result: BlockResult): void => {
    if (this.#state === 'gone') return;
    if (job.kind === 'read') this.#readBytes -= job.lengthBytes;
    if (result.error !== undefined) this.options.onRefused(job, result.error);
    this.#replies.completed(job, result);
    this.#answered();
  };

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
    this.#reckon();
    if (this.#socket.isPaused()) this.#takeIn();
    this.#endWhenAnswered();
  };

  #endWhenAnswered(): void {
    if (this.#state === 'serving' || this.#state === 'gone') return;
    if (this.isWaitedFor) return;
    this.#replies.flush();
    if (!this.#socket.writableEnded) this.#part();
    this.#stopped?.();
  }

  /** The client has its answers. What it still sends is for nobody; it is read so that its end is seen. */
  #part(): void {
    const socket = this.#socket;
    socket.end();
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), PARTING_MS);
    timer.unref();
    socket.once('close', () => {
      clearTimeout(timer);
    });
  }
}
