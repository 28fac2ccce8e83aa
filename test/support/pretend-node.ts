/**
 * A pretend storage node in memory, for tests of the daemon's half: it keeps what is durable apart from
 * what is only held, answers when it is told to, and can crash, hang and be away.
 *
 *     node.hold()              requests are received and kept unanswered
 *     node.answer(2)           answers the next two
 *     node.crash()             loses what was not flushed, ends the session, gets a new write verifier
 */
import { BlockError } from '#daemon/block/block-error.js';
import { DONE, failed, type BlockRequest, type BlockResult } from '#daemon/block/block-request.js';
import type {
  AcquireLeaseRequestMessage,
  LeaseMessage,
  OpenFrame,
  OpenedFrame,
  VolumeMessage,
} from '#daemon/rpc/storage-messages.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type {
  SessionEvents,
  StorageClient,
  StorageSession,
} from '#daemon/transport/storage-client.js';

export const NODE_BYTES = 1024 * 1024;

interface Received {
  readonly sequence: number;
  readonly request: BlockRequest;
}

export class PretendNode implements StorageClient {
  readonly address = 'pretend:1';
  volumeId = 'volume-1';
  /** Every request received, over all sessions. */
  readonly received: Received[] = [];
  readonly opens: Omit<OpenFrame, 'kind'>[] = [];
  generation = 0;
  expectedGenerations: number[] = [];
  takeOvers: boolean[] = [];
  releases = 0;
  /** Answers every write-like request with this instead of doing it. */
  writeError: BlockError | undefined;
  flushError: BlockError | undefined;
  /** The next calls for the lease are answered with this. */
  leaseError: StorageError | undefined;
  /** The next calls and sessions fail with this. */
  away: StorageError | undefined;
  /** Reads of anything from here on fail with EIO. */
  readErrorFrom = Infinity;
  /** Reads come back this much too short: a node that lies. */
  readBytesMissing = 0;
  requestsInFlightMax = 1000;
  bytesInFlightMax = NODE_BYTES * 4;
  /** Those who want to hear that the node is connected. */
  readonly awaiting = new Set<() => void>();
  #durable = Buffer.alloc(NODE_BYTES);
  #held = Buffer.alloc(NODE_BYTES);
  #verifier = 1n;
  #events: SessionEvents | undefined;
  #waiting: Received[] = [];
  #holding = false;

  /** What a reader would see now. */
  get content(): Buffer {
    return this.#held;
  }

  /** What a crash would leave. */
  get durableContent(): Buffer {
    return this.#durable;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  hold(): void {
    this.#holding = true;
  }

  /** Answers the next `count` waiting requests, by default all, and goes on holding. */
  answer(count = this.#waiting.length): void {
    for (const one of this.#waiting.splice(0, count)) this.#execute(one);
  }

  /** Answers the waiting request of this index only: replies may come in any order. */
  answerOnly(index: number): void {
    const [one] = this.#waiting.splice(index, 1);
    if (one !== undefined) this.#execute(one);
  }

  unhold(): void {
    this.#holding = false;
    this.answer();
  }

  /** Power cut: unflushed data is gone, a new run begins. */
  crash(): void {
    this.#held = Buffer.from(this.#durable);
    this.#verifier += 1n;
    this.disconnect();
  }

  /** The connection breaks; the node keeps what it holds. Requests not executed yet are dropped. */
  disconnect(reason = new StorageError('unavailable', 'connection lost')): void {
    const events = this.#events;
    this.#events = undefined;
    this.#waiting = [];
    events?.ended(reason);
  }

  /** Tells the session that the volume has another size. */
  resize(sizeBytes: number): void {
    this.#events?.resized(sizeBytes);
  }

  /** As a gateway whose engine restarted behind an open session. */
  loseUnflushedSilently(): void {
    this.#held = Buffer.from(this.#durable);
    this.#verifier += 1n;
  }

  onceConnected(callback: () => void): () => void {
    this.awaiting.add(callback);
    return () => this.awaiting.delete(callback);
  }

  getVolume(): Promise<VolumeMessage> {
    return this.#reply(() => this.#volume());
  }

  acquireLease(request: AcquireLeaseRequestMessage): Promise<LeaseMessage> {
    return this.#reply(() => {
      this.expectedGenerations.push(request.expectedGeneration);
      this.takeOvers.push(request.takeOver);
      if (this.leaseError !== undefined) throw this.leaseError;
      this.generation += 1;
      return { generation: this.generation, volume: this.#volume(), expiresAfterMs: 1000 };
    });
  }

  releaseLease(): Promise<void> {
    return this.#reply(() => {
      this.releases += 1;
    });
  }

  openSession(open: Omit<OpenFrame, 'kind'>, events: SessionEvents): StorageSession {
    this.opens.push(open);
    const refusal = this.away;
    queueMicrotask(() => {
      if (refusal !== undefined) {
        events.ended(refusal);
        return;
      }
      this.#events = events;
      events.opened(this.#opened());
    });
    return {
      send: (sequence, request) => {
        if (this.#events !== events) return;
        this.received.push({ sequence, request });
        this.#waiting.push({ sequence, request });
        if (!this.#holding)
          queueMicrotask(() => {
            this.answer();
          });
      },
      close: () => {
        if (this.#events === events) this.#events = undefined;
      },
    };
  }

  getNode = unused;
  createVolume = unused;
  listVolumes = unused;
  resizeVolume = unused;
  deleteVolume = unused;

  close(): void {
    this.#events = undefined;
  }

  /** What has been read, in memory of its own. */
  answered(data: Buffer): Buffer {
    return Buffer.from(data);
  }

  #execute({ sequence, request }: Received): void {
    const events = this.#events;
    if (events === undefined) return;
    const result = this.#apply(request);
    if (request.kind === 'flush') events.verifierSeen(this.#verifier);
    if (this.#events === events) events.completed(sequence, result);
  }

  #apply(request: BlockRequest): BlockResult {
    const { offsetBytes, lengthBytes } = request;
    switch (request.kind) {
      case 'read':
        if (offsetBytes + lengthBytes > this.readErrorFrom)
          return failed(new BlockError('EIO', 'bad sector'));
        return {
          ...DONE,
          payload: [
            this.answered(
              this.#held.subarray(offsetBytes, offsetBytes + lengthBytes - this.readBytesMissing),
            ),
          ],
        };
      case 'write':
        if (this.writeError !== undefined) return failed(this.writeError);
        Buffer.concat(request.payload).copy(this.#held, offsetBytes);
        return DONE;
      case 'write-zeroes':
      case 'trim':
        if (this.writeError !== undefined) return failed(this.writeError);
        this.#held.fill(0, offsetBytes, offsetBytes + lengthBytes);
        return DONE;
      case 'flush':
        if (this.flushError !== undefined) return failed(this.flushError);
        this.#durable = Buffer.from(this.#held);
        return DONE;
      case 'block-status':
        return { ...DONE, extents: [{ lengthBytes, hole: false, zero: false }] };
      case 'cache':
        return DONE;
    }
  }

  #reply<Value>(make: () => Value): Promise<Value> {
    if (this.away !== undefined) return Promise.reject(this.away);
    return new Promise((resolve) => {
      resolve(make());
    });
  }

  #volume(): VolumeMessage {
    return {
      volumeId: this.volumeId,
      name: 'v1',
      sizeBytes: NODE_BYTES,
      blockBytes: 512,
      backend: 'memory',
      allocatedBytes: 0,
      createdUnixMs: 0,
      generation: this.generation,
      holder: undefined,
      sessionCount: 0,
    };
  }

  #opened(): OpenedFrame {
    return {
      kind: 'opened',
      writeVerifier: this.#verifier,
      volume: this.#volume(),
      capabilities: {
        canWrite: true,
        fua: 'emulated',
        canTrim: true,
        canFastZero: true,
        canBlockStatus: true,
      },
      preferredBytes: 4096,
      requestBytesMax: NODE_BYTES,
      checksum: 'none',
      frameSalt: 0,
      requestsInFlightMax: this.requestsInFlightMax,
      bytesInFlightMax: this.bytesInFlightMax,
    };
  }
}

function unused(): Promise<never> {
  return Promise.reject(new Error('not part of the pretend node'));
}
