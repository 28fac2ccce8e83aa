/**
 * One session on one gRPC stream: requests of one turn of the event loop go out as one frame, replies
 * are handed up one by one, and silence is noticed by a probe, because TCP alone notices a silent peer
 * too late.
 *
 * The stream comes in through the constructor; nothing here knows how it was made.
 */
import { changesContent, type BlockRequest } from '../block/block-request.js';
import type { Clock } from '../runtime/clock.js';
import {
  FrameSeals,
  OPENING_SEAL,
  checkOpeningSeal,
  checkSeal,
  damaged,
} from '../rpc/frame-seal.js';
import { StorageError } from '../rpc/storage-error.js';
import type {
  ClientFrame,
  NodeFrame,
  OpenFrame,
  ReplyBatchFrame,
} from '../rpc/storage-messages.js';
import type { SessionEvents, StorageSession } from './storage-client.js';

/**
 * A frame is sent when it carries this much, without waiting for the end of the turn. Measured: a batch
 * saves up to 64 to 128 KiB, and beyond 512 KiB cache misses take it back.
 */
const FRAME_BYTES_MAX = 256 * 1024;
/** Requests without payload are small: this many fill 128 KiB of columns. */
const FRAME_REQUESTS_MAX = 1024;

export interface SessionTimes {
  /** The node must have accepted the session by then. */
  readonly openTimeoutMs: number;
  /** After this much silence the node is asked for a sign of life. */
  readonly probeIntervalMs: number;
  /** After this much silence the connection counts as lost. */
  readonly probeTimeoutMs: number;
}

/** The part of a gRPC stream that a session uses. */
export interface FrameStream {
  write(frame: ClientFrame): unknown;
  cancel(): void;
  on(event: 'data', listener: (frame: NodeFrame | StorageError) => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
}

export class GrpcStorageSession implements StorageSession {
  #sequences: number[] = [];
  #requests: BlockRequest[] = [];
  #frameBytes = 0;
  #turnEnds = false;
  #over = false;
  #opened = false;
  #lastHeardMs: number;
  /** Of frames behind the first, where the node agreed to checksums when it opened the session. */
  #seals: { readonly out: FrameSeals; readonly in: FrameSeals } | undefined;
  #pings = 0;
  #cancelTimer: () => void;

  constructor(
    readonly stream: FrameStream,
    readonly open: Omit<OpenFrame, 'kind'>,
    readonly events: SessionEvents,
    readonly clock: Clock,
    readonly times: SessionTimes,
    /** Makes a sentence of what gRPC reports. */
    readonly explain: (error: unknown) => StorageError,
    /** The node did not answer in time, or damage came; called before the session ends for it. */
    readonly leaveConnection: () => void = () => undefined,
  ) {
    this.#lastHeardMs = clock.nowMs();
    this.#cancelTimer = clock.setTimer(times.openTimeoutMs, () => {
      this.#endForSilence(`the node did not open the session within ${times.openTimeoutMs} ms`);
    });
    stream.on('data', (frame: NodeFrame | StorageError) => {
      this.#receive(frame);
    });
    stream.on('error', (error: unknown) => {
      this.#end(explain(error));
    });
    stream.on('end', () => {
      // With a bad status an error event brings the reason; it may come a turn later.
      setImmediate(() => {
        this.#end(new StorageError('unavailable', 'the node ended the session'));
      });
    });
    stream.write({
      kind: 'open',
      ...open,
      ...(open.checksum === 'crc32c' ? { seal: OPENING_SEAL } : {}),
    });
  }

  send(sequence: number, request: BlockRequest): void {
    if (this.#over) return;
    this.#sequences.push(sequence);
    this.#requests.push(request);
    if (changesContent(request.kind))
      this.#frameBytes += request.payload.length > 0 ? request.lengthBytes : 0;
    if (this.#frameBytes >= FRAME_BYTES_MAX || this.#sequences.length >= FRAME_REQUESTS_MAX) {
      this.#sendFrame();
    } else if (!this.#turnEnds) {
      this.#turnEnds = true;
      queueMicrotask(this.#endTurn);
    }
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelTimer();
    this.stream.cancel();
  }

  readonly #endTurn = (): void => {
    this.#turnEnds = false;
    this.#sendFrame();
  };

  #sendFrame(): void {
    if (this.#over || this.#sequences.length === 0) return;
    const sequences = this.#sequences;
    const requests = this.#requests;
    this.#sequences = [];
    this.#requests = [];
    this.#frameBytes = 0;
    this.stream.write({ kind: 'requests', sequences, requests, seal: this.#seals?.out.next() });
  }

  #receive(frame: NodeFrame | StorageError): void {
    if (this.#over) return;
    let undamaged: NodeFrame;
    try {
      undamaged = this.#undamaged(frame);
    } catch (error) {
      this.#end(StorageError.from(error));
      return;
    }
    this.#take(undamaged);
  }

  /** @throws StorageError: nothing of the frame may be used */
  #undamaged(frame: NodeFrame | StorageError): NodeFrame {
    if (frame instanceof StorageError)
      throw this.open.checksum === 'none' ? frame : damaged(frame.message, frame);
    if (frame.kind !== 'opened' || this.#opened) {
      checkSeal(this.#seals?.in, frame);
      return frame;
    }
    const isAgreed = frame.checksum === 'crc32c';
    checkOpeningSeal(isAgreed, frame);
    if (isAgreed)
      this.#seals = { out: new FrameSeals(frame.frameSalt), in: new FrameSeals(frame.frameSalt) };
    return frame;
  }

  #take(frame: NodeFrame): void {
    this.#lastHeardMs = this.clock.nowMs();
    switch (frame.kind) {
      case 'replies':
        if (this.#opened) this.#complete(frame);
        else
          this.#end(
            new StorageError('internal', 'the node answered requests before it opened the session'),
          );
        return;
      case 'opened':
        if (this.#opened) {
          this.#end(new StorageError('internal', 'the node opened the session twice'));
          return;
        }
        this.#opened = true;
        this.#cancelTimer();
        this.#scheduleProbe();
        this.events.opened(frame);
        return;
      case 'ping':
        this.#end(new StorageError('internal', 'the node sent a ping'));
        return;
      case 'resized':
        if (this.#opened) this.events.resized(frame.sizeBytes);
        return;
      case 'pong':
        // A sign of life, which is all that was asked for.
        return;
    }
  }

  #complete(frame: ReplyBatchFrame): void {
    if (frame.writeVerifier !== 0n) this.events.verifierSeen(frame.writeVerifier);
    const { sequences, results } = frame;
    for (let index = 0; index < sequences.length; index += 1) {
      const sequence = sequences[index];
      const result = results[index];
      // The events may have closed this session: what follows is then unanswered.
      if (this.#over || sequence === undefined || result === undefined) return;
      this.events.completed(sequence, result);
    }
  }

  #scheduleProbe(): void {
    this.#cancelTimer = this.clock.setTimer(this.times.probeIntervalMs, () => {
      const silentMs = this.clock.nowMs() - this.#lastHeardMs;
      if (silentMs >= this.times.probeTimeoutMs) {
        this.#endForSilence(
          `the node has been silent for ${Math.round(silentMs)} ms (probe_timeout)`,
        );
        return;
      }
      if (silentMs >= this.times.probeIntervalMs) {
        this.#pings += 1;
        this.stream.write({ kind: 'ping', number: this.#pings, seal: this.#seals?.out.next() });
      }
      this.#scheduleProbe();
    });
  }

  #endForSilence(sentence: string): void {
    if (this.#over) return;
    this.leaveConnection();
    this.#end(new StorageError('unavailable', sentence));
  }

  #end(reason: StorageError): void {
    if (this.#over) return;
    if (reason.kind === 'damaged') this.leaveConnection();
    this.close();
    this.events.ended(reason);
  }
}
