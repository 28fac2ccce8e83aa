/**
 * The life of one OpenSession stream: the open frame, the replacement of an older session, batches, and
 * the end, whoever brings it. What the batches mean is node-session.ts.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { BackendVolume } from './backend/backend.js';
import { StorageError } from '../rpc/storage-error.js';
import { toServiceError } from '../rpc/status-code.js';
import type { ClientFrame, NodeFrame, OpenFrame, OpenedFrame } from '../rpc/storage-messages.js';
import { NodeSession } from './node-session.js';
import type { TableSession } from './session-table.js';
import type { StorageService } from './storage-service.js';

type SessionCall = ServerDuplexStream<ClientFrame, NodeFrame>;

/** A client that connects and says nothing is let go. */
const OPEN_TIMEOUT_MS = 10_000;

export function serveSession(call: SessionCall, service: StorageService): void {
  void new SessionStream(call, service);
}

class SessionStream implements TableSession {
  volumeId = '';
  attachmentId = '';
  generation = 0;
  streamIndex = 0;
  #state: 'waiting' | 'opening' | 'open' | 'over' = 'waiting';
  #session: NodeSession | undefined;
  readonly #cancelTimeout: () => void;

  constructor(
    readonly call: SessionCall,
    readonly service: StorageService,
  ) {
    this.#cancelTimeout = service.options.clock.setTimer(OPEN_TIMEOUT_MS, () => {
      this.end(new StorageError('invalid', `no open frame came within ${OPEN_TIMEOUT_MS} ms`));
    });
    call.on('data', (frame: ClientFrame) => {
      this.#receive(frame);
    });
    call.on('end', () => {
      void this.#finish();
    });
    // A request that cannot be decoded arrives here, and so does a broken connection.
    call.on('error', (error: Error) => {
      this.end(new StorageError('invalid', error.message));
    });
    call.on('cancelled', () => {
      this.#over();
    });
    call.on('close', () => {
      this.#over();
    });
  }

  end(reason: StorageError): void {
    if (this.#state === 'over') return;
    this.#over();
    this.service.options.log.warn(
      {
        event: 'session_ended',
        volumeId: this.volumeId,
        attachmentId: this.attachmentId,
        reason: reason.message,
      },
      `session ended: ${reason.message}`,
    );
    this.call.emit('error', toServiceError(reason));
  }

  whenIdle(): Promise<void> {
    return this.#session?.whenIdle() ?? Promise.resolve();
  }

  #receive(frame: ClientFrame): void {
    try {
      switch (frame.kind) {
        case 'open':
          if (this.#state !== 'waiting')
            throw new StorageError('invalid', 'a second open frame on one session');
          this.#state = 'opening';
          this.#cancelTimeout();
          this.#open(frame).catch((error: unknown) => {
            this.end(
              error instanceof StorageError
                ? error
                : new StorageError('internal', String(error), { cause: error }),
            );
          });
          return;
        case 'requests':
          if (this.#session === undefined)
            throw new StorageError('invalid', 'requests came before the session was open');
          this.#session.receive(frame);
          return;
        case 'ping':
        case 'pong':
          this.#send({ kind: 'pong', number: frame.number });
      }
    } catch (error) {
      this.end(
        error instanceof StorageError
          ? error
          : new StorageError('internal', String(error), { cause: error }),
      );
    }
  }

  async #open(open: OpenFrame): Promise<void> {
    const { service } = this;
    const { catalog, sessionsMax } = service.options;
    if (catalog.byId(open.volumeId) === undefined)
      throw new StorageError('not-found', `no volume has the id ${open.volumeId}`);
    this.#requireCurrent(open);
    if (service.sessions.count >= sessionsMax) {
      throw new StorageError(
        'exhausted',
        `this node has ${sessionsMax} sessions open, which is its limit (sessions_max)`,
      );
    }
    this.volumeId = open.volumeId;
    this.attachmentId = open.attachmentId;
    this.generation = open.generation;
    this.streamIndex = open.streamIndex;
    const before = service.sessions.predecessor(open);
    service.sessions.add(this);
    before?.end(
      new StorageError('unavailable', 'a newer session of the same attachment replaces this one'),
    );
    await before?.whenIdle();
    const device = await catalog.open(open.volumeId);
    if (this.#isOver() || !this.#isCurrent()) {
      await catalog.release(open.volumeId);
      this.#requireCurrent(open);
      return;
    }
    this.#begin(open, device);
    this.#send(await this.#describe(open));
  }

  #begin(open: OpenFrame, device: BackendVolume): void {
    const { writeVerifier, sessionLimits } = this.service.options;
    this.#state = 'open';
    this.#session = new NodeSession({
      device,
      readOnly: open.generation === 0,
      checksum: open.checksum,
      writeVerifier,
      limits: sessionLimits,
      isCurrent: () => this.#isCurrent(),
      send: (frame) => {
        this.#send(frame);
      },
    });
  }

  async #describe(open: OpenFrame): Promise<OpenedFrame> {
    const { catalog, writeVerifier, sessionLimits } = this.service.options;
    const record = catalog.byId(open.volumeId);
    const facts = this.#session?.facts;
    if (record === undefined || facts === undefined)
      throw new StorageError('not-found', `no volume has the id ${open.volumeId}`);
    const { capabilities, preferredBytes, requestBytesMax } = facts;
    return {
      kind: 'opened',
      writeVerifier,
      volume: await this.service.describe(record),
      capabilities,
      preferredBytes,
      requestBytesMax,
      checksum: open.checksum,
      ...sessionLimits,
    };
  }

  #requireCurrent(open: OpenFrame): void {
    if (open.generation === 0 || this.service.leases.isCurrent(open.volumeId, open.generation))
      return;
    const record = this.service.options.catalog.byId(open.volumeId);
    const by =
      record?.holder === undefined
        ? 'nobody holds it'
        : `it is held by ${record.holder.description}`;
    throw new StorageError(
      'fenced',
      `generation ${open.generation} of volume ${record?.name ?? open.volumeId} is over: it is now ${record?.generation ?? 0} and ${by}`,
    );
  }

  #isCurrent(): boolean {
    return this.generation === 0 || this.service.leases.isCurrent(this.volumeId, this.generation);
  }

  #send(frame: NodeFrame): void {
    if (this.#isOver()) return;
    if (this.call.write(frame)) return;
    // The client does not take its replies: it gets no new requests in before it does.
    this.call.pause();
    this.call.once('drain', () => {
      this.call.resume();
    });
  }

  /** The client sends nothing more: it gets its answers, then the end. */
  async #finish(): Promise<void> {
    await this.whenIdle();
    // One turn later: the replies of the last completions go out at the end of theirs.
    setImmediate(() => {
      if (this.#isOver()) return;
      this.#over();
      this.call.end();
    });
  }

  #over(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#cancelTimeout();
    this.#session?.end();
    void this.#release();
  }

  async #release(): Promise<void> {
    if (this.volumeId === '') return;
    await this.whenIdle();
    this.service.sessions.remove(this);
    if (this.generation > 0) this.service.leases.noteSeen(this.volumeId);
    if (this.#session !== undefined) await this.service.options.catalog.release(this.volumeId);
  }

  #isOver(): boolean {
    return this.#state === 'over';
  }
}
