/**
 * The life of one OpenSession stream: the open frame, the replacement of an older session, batches, and
 * the end, whoever brings it. What the batches mean is node-session.ts.
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
import { checkAttachmentId } from './attachment-id.js';
import type { BackendVolume } from './backend/backend.js';
import { NodeSession } from './node-session.js';
import { warnOfBreach } from './session-breach.js';
import type { SessionHost } from './session-host.js';
import type { TableSession } from './session-table.js';
import { UnsentReplies } from './unsent-replies.js';
import { failedDeviceClosed, flushFailed } from './volume-failure.js';

/** A client that says nothing is let go. */
export const OPEN_TIMEOUT_MS = 10_000;

/** Sessions of one attachment; daemons use one per connection of theirs to the node. */
export const STREAM_INDEX_MAX = 63;

export class SessionStream implements TableSession {
  volumeId = '';
  attachmentId = '';
  generation = 0;
  streamIndex = 0;
  #state: 'waiting' | 'opening' | 'open' | 'draining' | 'over' = 'waiting';
  /** Settles, without a failure, when the open frame has been dealt with. */
  #opening: Promise<void> | undefined;
  #device: BackendVolume | undefined;
  #session: NodeSession | undefined;
  #halfClosed = false;
  /** Of frames behind the first, where a checksum was agreed on. */
  #seals: { readonly salt: number; readonly out: FrameSeals; readonly in: FrameSeals } | undefined;
  readonly #replies: UnsentReplies<NodeFrame>;
  readonly #cancelTimeout: () => void;
  readonly #gone: Promise<void>;
  #resolveGone: () => void = () => undefined;

  constructor(
    readonly call: ServedCall,
    readonly host: SessionHost,
    readonly caller: Caller,
  ) {
    this.#replies = new UnsentReplies(call, this.#onSent);
    this.#gone = new Promise((resolve) => {
      this.#resolveGone = resolve;
    });
    this.#cancelTimeout = host.options.clock.setTimer(OPEN_TIMEOUT_MS, () => {
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
    // Before anything that depends on whether the volume is there.
    this.host.gate.requireMayOpen(this.caller, open);
    checkAttachmentId(open.attachmentId);
    if (open.streamIndex > STREAM_INDEX_MAX) {
      throw new StorageError(
        'invalid',
        `stream_index is ${open.streamIndex}, at most ${STREAM_INDEX_MAX} is possible`,
      );
    }
    this.#state = 'opening';
    if (open.checksum === 'crc32c') {
      const salt = randomInt(2 ** 32);
      this.#seals = { salt, out: new FrameSeals(salt), in: new FrameSeals(salt) };
    }
    this.volumeId = open.volumeId;
    this.attachmentId = open.attachmentId;
    this.generation = open.generation;
    this.streamIndex = open.streamIndex;
    this.#opening = this.host.turns
      .run(open.volumeId, () => this.#openInTurn(open))
      .catch((error: unknown) => {
        this.end(StorageError.from(error));
      });
  }

  /** In the volume's turn: leases do not move and no other session of the volume opens meanwhile. */
  async #openInTurn(open: OpenFrame): Promise<void> {
    const { leases, sessions, verifiers, options } = this.host;
    if (this.#isOver()) return;
    this.host.requireSessionsAccepted();
    const record = this.host.requireVolume(open.volumeId);
    const writer = { ...open, caller: this.caller };
    if (open.generation > 0) leases.requireCurrent(writer);
    const before = sessions.predecessor(writer);
    before?.end(
      new StorageError('unavailable', 'a newer session of the same attachment replaces this one'),
    );
    await before?.whenGone();
    await failedDeviceClosed(this.host, open.volumeId);
    if (this.#isOver()) return;
    // From here on a change of the rules finds this session; one from before is found here.
    this.host.gate.requireMayOpen(this.caller, open);
    sessions.add(this);
    const device = await options.catalog.open(open.volumeId);
    this.#device = device;
    const volume = await this.host.describe(record);
    if (this.#isOver()) return;
    const writeVerifier = verifiers.ofDevice(open.volumeId, device);
    const session = this.#newSession(open, device, writeVerifier);
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
      ...options.sessionLimits,
    };
    this.#send(opened, 0);
    this.#log('session_opened', `session of volume ${record.name} opened`);
    if (this.#halfClosed) this.#onHalfClose();
  }

  #newSession(open: OpenFrame, device: BackendVolume, writeVerifier: bigint): NodeSession {
    const { leases, options } = this.host;
    const readOnly = open.generation === 0;
    return new NodeSession({
      device,
      readOnly,
      writeVerifier,
      limits: options.sessionLimits,
      leavesHolesOut: open.takesHoles,
      requireCurrent: readOnly
        ? () => undefined
        : () => {
            // Whose generation it is was asked when the session opened.
            leases.requireCurrent(open);
          },
      send: (frame, bytes) => {
        this.#send(frame, bytes);
      },
      flushFailed: (error) => {
        flushFailed(this.host, open.volumeId, device, error);
      },
    });
  }

  #send(frame: NodeFrame, bytes: number): void {
    if (this.#isOver()) return;
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
          if (this.#isOver()) return;
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
    const { catalog } = this.host.options;
    await this.#opening;
    await this.#session?.whenIdle();
    try {
      if (this.#device !== undefined) await catalog.release(this.volumeId);
    } catch (error) {
      this.#log('release_failed', `volume ${this.volumeId} could not be closed: ${String(error)}`);
    }
    this.host.sessions.remove(this);
    if (this.generation > 0) this.host.leases.noteSeen(this.volumeId, this.attachmentId);
    this.host.streamEnded(this.caller);
    this.#resolveGone();
  }

  #log(event: string, message: string): void {
    const { volumeId, attachmentId, generation, call, caller } = this;
    const whose = { volumeId, attachmentId, generation };
    const who = { peer: call.getPeer(), client: caller.label };
    this.host.options.log.info({ event, ...whose, ...who }, message);
  }

  #isOver(): boolean {
    return this.#state === 'over';
  }
}
