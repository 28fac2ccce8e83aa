/**
 * The life of one OpenSession stream: the open frame, batches, and the end, whoever brings it. How it comes into the node
 * and leaves it is session-entry.ts, what the batches mean node-session.ts.
 */
import { randomInt } from 'node:crypto';
import {
  FrameSeals,
  OPENING_SEAL,
  checkOpeningSeal,
  checkSeal,
  damaged,
} from '../rpc/frame-seal.js';
import type { ServedCall } from '../rpc/served-session.js';
import { toServiceError } from '../rpc/status-code.js';
import { StorageError } from '../rpc/storage-error.js';
import type { ClientFrame, NodeFrame, OpenFrame, OpenedFrame } from '../rpc/storage-messages.js';
import type { Caller } from './access-caller.js';
import type { BackendVolume } from './backend/backend.js';
import { NodeSession } from './node-session.js';
import { warnOfBreach } from './session-breach.js';
import type {
  AdmittedSession,
  EnteringSession,
  SessionEntry,
  StreamHost,
} from './session-entry.js';
import { UnsentReplies } from './unsent-replies.js';

/** A client that says nothing is let go. */
export const OPEN_TIMEOUT_MS = 10_000;

export class SessionStream implements EnteringSession {
  volumeId = '';
  attachmentId = '';
  generation = 0;
  streamIndex = 0;
  #state: 'waiting' | 'opening' | 'open' | 'draining' | 'over' = 'waiting';
  #device: BackendVolume | undefined;
  #session: NodeSession | undefined;
  #halfClosed = false;
  /** Of frames behind the first, where a checksum was agreed on. */
  #seals: { readonly salt: number; readonly out: FrameSeals; readonly in: FrameSeals } | undefined;
  readonly #entry: SessionEntry;
  readonly #replies: UnsentReplies<NodeFrame>;
  readonly #cancelTimeout: () => void;
  readonly #gone: Promise<void>;
  #resolveGone: () => void = () => undefined;

  constructor(
    readonly call: ServedCall,
    readonly host: StreamHost,
    readonly caller: Caller,
  ) {
    this.#entry = host.entryOf(this);
    this.#replies = new UnsentReplies(call, this.#onSent);
    this.#gone = new Promise((resolve) => {
      this.#resolveGone = resolve;
    });
    this.#cancelTimeout = host.clock.setTimer(OPEN_TIMEOUT_MS, () => {
      this.#break(new StorageError('invalid', `no open frame came within ${OPEN_TIMEOUT_MS} ms`));
    });
    call.on('data', (frame: ClientFrame | StorageError) => {
      this.#receive(frame);
    });
    call.on('end', this.#onHalfClose);
    call.on('cancelled', () => {
      this.#over('the connection ended');
    });
    call.on('error', (error: Error) => {
      this.#over(error.message);
    });
  }

  end(reason: StorageError): void {
    if (this.#state === 'over') return;
    this.#over(reason.message);
    // What was written goes out first; then grpc-js makes the status of this.
    this.call.emit('error', toServiceError(reason));
  }

  drain(reason: StorageError): void {
    if (this.#state !== 'open') {
      this.end(reason);
      return;
    }
    this.#state = 'draining';
    this.#replies.stopReading();
    void this.#session?.whenAnswered().then(() => {
      this.end(reason);
    });
  }

  resized(sizeBytes: number): void {
    if (this.#state === 'open') this.#send({ kind: 'resized', sizeBytes }, 0);
  }

  whenGone(): Promise<void> {
    return this.#gone;
  }

  #receive(frame: ClientFrame | StorageError): void {
    // What still comes while draining stays unanswered, and the client sends it elsewhere or later.
    if (this.#state === 'over' || this.#state === 'draining') return;
    try {
      if (frame instanceof StorageError)
        throw this.#seals === undefined ? frame : damaged(frame.message, frame);
      if (this.#state === 'waiting')
        checkOpeningSeal(frame.kind === 'open' && frame.checksum === 'crc32c', frame);
      else checkSeal(this.#seals?.in, frame);
      switch (frame.kind) {
        case 'open':
          this.#onOpen(frame);
          return;
        case 'requests':
          if (this.#session === undefined)
            throw new StorageError('invalid', 'requests came before the session was open');
          this.#session.receive(frame);
          return;
        case 'ping':
        case 'pong':
          this.#send({ kind: 'pong', number: frame.number }, 0);
      }
    } catch (error) {
      this.#break(StorageError.from(error));
    }
  }

  #break(reason: StorageError): void {
    warnOfBreach(this.host.refusals, this, reason);
    this.end(reason);
  }

  #onOpen(open: OpenFrame): void {
    if (this.#state !== 'waiting') throw new StorageError('invalid', 'a second open frame');
    this.#cancelTimeout();
    this.#entry.check(open);
    this.#state = 'opening';
    if (open.checksum === 'crc32c') {
      const salt = randomInt(2 ** 32);
      this.#seals = { salt, out: new FrameSeals(salt), in: new FrameSeals(salt) };
    }
    this.volumeId = open.volumeId;
    this.attachmentId = open.attachmentId;
    this.generation = open.generation;
    this.streamIndex = open.streamIndex;
    this.#entry.enter(open, (admitted) => {
      this.#opened(open, admitted);
    });
  }

  #opened(open: OpenFrame, admitted: AdmittedSession): void {
    const { device, volume, writeVerifier } = admitted;
    const { sessionLimits } = this.host;
    const session = this.#newSession(open, admitted);
    this.#device = device;
    this.#session = session;
    this.#state = 'open';
    const { capabilities, preferredBytes, requestBytesMax } = session.facts;
    const opened: OpenedFrame = {
      kind: 'opened',
      writeVerifier,
      volume,
      capabilities,
      preferredBytes,
      requestBytesMax,
      checksum: open.checksum,
      frameSalt: this.#seals?.salt ?? 0,
      ...sessionLimits,
    };
    this.#send(opened, 0);
    this.#log('session_opened', `session of volume ${volume.name} opened`);
    if (this.#halfClosed) this.#onHalfClose();
  }

  #newSession(open: OpenFrame, admitted: AdmittedSession): NodeSession {
    const { device, writeVerifier, requireCurrent, flushFailed } = admitted;
    return new NodeSession({
      device,
      readOnly: open.generation === 0,
      writeVerifier,
      leavesHolesOut: open.takesHoles,
      limits: this.host.sessionLimits,
      requireCurrent,
      defer: this.host.defer,
      broken: (reason) => {
        this.#break(reason);
      },
      send: (frame, bytes) => {
        this.#send(frame, bytes);
      },
      flushFailed,
    });
  }

  #send(frame: NodeFrame, bytes: number): void {
    if (this.isOver) return;
    if (this.#seals === undefined) this.#replies.send(frame, bytes);
    else {
      const seal = frame.kind === 'opened' ? OPENING_SEAL : this.#seals.out.next();
      this.#replies.send({ ...frame, seal }, bytes);
    }
  }

  readonly #onSent = (frame: NodeFrame): void => {
    if (frame.kind !== 'replies') return;
    for (const { payload } of frame.results) this.#device?.reclaim?.(payload);
  };

  /** The client sends nothing more: it gets its answers, then the end. */
  readonly #onHalfClose = (): void => {
    this.#halfClosed = true;
    switch (this.#state) {
      case 'waiting':
        this.#break(new StorageError('invalid', 'the stream ended without an open frame'));
        return;
      case 'open':
        void this.#session?.whenAnswered().then(() => {
          if (this.isOver) return;
          this.#over('closed by the client');
          this.call.end();
        });
        return;
      case 'opening':
      case 'draining':
      case 'over':
        return;
    }
  };

  #over(why: string): void {
    if (this.#state === 'over') return;
    this.#session?.end();
    if (this.#session !== undefined) this.#log('session_ended', `session ended: ${why}`);
    this.#state = 'over';
    this.#cancelTimeout();
    // A client that goes on sending is heard and ignored, so that its frames do not wait here.
    this.call.resume();
    void this.#leave();
  }

  async #leave(): Promise<void> {
    await this.#session?.whenIdle();
    await this.#entry.leave();
    this.#resolveGone();
  }

  #log(event: string, message: string): void {
    const { volumeId, attachmentId, generation, call, caller } = this;
    const whose = { volumeId, attachmentId, generation };
    const who = { peer: call.getPeer(), client: caller.label };
    this.host.log.info({ event, ...whose, ...who }, message);
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }
}
