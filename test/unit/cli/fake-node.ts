/**
 * A storage node in memory for the command's tests: volumes with content, leases, sessions that answer
 * out of order, and the ways in which a node can fail in the middle of a transfer.
 */
import type { EventCount } from '#daemon/runtime/repeated-warnings.js';
import type { BlockRequest, BlockResult } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type {
  CreateVolumeReplyMessage,
  CreateVolumeRequestMessage,
  DeleteVolumeRequestMessage,
  LeaseHolderMessage,
  LeaseMessage,
  NodeMessage,
  OpenFrame,
  ReleaseLeaseRequestMessage,
  ResizeVolumeRequestMessage,
  AcquireLeaseRequestMessage,
  VolumeMessage,
} from '#daemon/rpc/storage-messages.js';
import type {
  SessionEvents,
  StorageClient,
  StorageSession,
} from '#daemon/transport/storage-client.js';
import { FakeSession, type FakeVolume, type SessionRules } from './fake-session.js';

export const KiB = 1024;
export const MiB = 1024 * KiB;

export class FakeNode implements StorageClient, SessionRules {
  address = '127.0.0.1:7600';
  readonly volumes = new Map<string, FakeVolume>();
  /** Every unary call fails with this. */
  away: StorageError | undefined;
  opens: Omit<OpenFrame, 'kind'>[] = [];
  received: BlockRequest[] = [];
  leases: AcquireLeaseRequestMessage[] = [];
  releases: ReleaseLeaseRequestMessage[] = [];
  closed = 0;
  inFlightSeenMax = 0;
  requestsInFlightMax = 64;
  bytesInFlightMax = 64 * MiB;
  requestBytesMax = 32 * MiB;
  canBlockStatus = true;
  canFastZero = true;
  /** Called for each request before it is executed; what it returns is the answer instead. */
  intercept: ((request: BlockRequest, index: number) => BlockResult | undefined) | undefined;
  /** Turns of the event loop that an answer takes. */
  answerTurns = 1;
  /** The session ends when it receives the request of this index. */
  endAtRequest = Number.MAX_SAFE_INTEGER;
  endReason = new StorageError('unavailable', 'the connection was lost');
  refuseOpen: StorageError | undefined;
  refuseRelease: StorageError | undefined;
  /** As if the node's engine restarted before the flush. */
  verifierAtFlush = 1n;
  /** Called when a session has been opened. */
  onOpened: (() => void) | undefined;

  add(name: string, sizeBytes: number, fill = 0): FakeVolume {
    const message: VolumeMessage = {
      volumeId: `id-of-${name}`,
      name,
      sizeBytes,
      blockBytes: 512,
      backend: 'file',
      allocatedBytes: 0,
      createdUnixMs: Date.UTC(2026, 0, 2, 3, 4, 5),
      generation: 0,
      holder: undefined,
      sessionCount: 0,
    };
    const volume = { message, content: Buffer.alloc(sizeBytes, fill) };
    this.volumes.set(name, volume);
    return volume;
  }

  content(name: string): Buffer {
    return this.#volume(name).content;
  }

  hold(name: string, holder: Partial<LeaseHolderMessage> = {}): void {
    this.#volume(name).message.holder = {
      attachmentId: 'other',
      description: 'blkferryd on dom0',
      sinceUnixMs: Date.UTC(2026, 0, 2),
      connected: true,
      ...holder,
    };
  }

  /** How its connections are protected. */
  protection = { insecure: false, certificateValidToMs: 0 };
  refusals: EventCount[] = [];
  workerSessions: number[] = [];

  getNode(): Promise<NodeMessage> {
    return this.#reply(() => ({
      nodeId: 'node-1',
      software: 'blkferry-node 0.1.0',
      backends: ['file', 'memory'],
      writeVerifier: 0xabcdn,
      freeBytes: 18 * 1024 * MiB,
      totalBytes: 100 * 1024 * MiB,
      uptimeMs: 93_784_000,
      volumeCount: this.volumes.size,
      sessionCount: 1,
      ...this.protection,
      refusals: this.refusals,
      workerSessions: this.workerSessions,
    }));
  }

  createVolume(request: CreateVolumeRequestMessage): Promise<CreateVolumeReplyMessage> {
    return this.#reply(() => {
      const known = this.volumes.get(request.name);
      if (known !== undefined) return { volume: known.message, existed: true };
      return { volume: this.add(request.name, request.sizeBytes).message, existed: false };
    });
  }

  listVolumes(): Promise<VolumeMessage[]> {
    return this.#reply(() => [...this.volumes.values()].map(({ message }) => message));
  }

  getVolume(name: string): Promise<VolumeMessage> {
    return this.#reply(() => this.#volume(name).message);
  }

  resizeVolume(request: ResizeVolumeRequestMessage): Promise<VolumeMessage> {
    return this.#reply(() => {
      const { message } = this.#volume(request.name);
      if (request.sizeBytes < message.sizeBytes && !request.allowShrink) {
        throw new StorageError('refused', `volume ${request.name} would shrink`);
      }
      message.sizeBytes = request.sizeBytes;
      return message;
    });
  }

  deleteVolume(request: DeleteVolumeRequestMessage): Promise<void> {
    return this.#reply(() => {
      const { message } = this.#volume(request.name);
      if (request.volumeId !== '' && request.volumeId !== message.volumeId) {
        throw new StorageError('not-found', 'another id');
      }
      this.volumes.delete(request.name);
    });
  }

  acquireLease(request: AcquireLeaseRequestMessage): Promise<LeaseMessage> {
    return this.#reply(() => {
      const volume = this.#byId(request.volumeId);
      const { holder, name } = volume.message;
      if (holder !== undefined && !request.takeOver) {
        throw new StorageError('refused', `volume ${name} is held by ${holder.description}`);
      }
      this.leases.push(request);
      volume.message.generation += 1;
      const { generation } = volume.message;
      return { generation, volume: volume.message, expiresAfterMs: 30_000 };
    });
  }

  releaseLease(request: ReleaseLeaseRequestMessage): Promise<void> {
    this.releases.push(request);
    return this.refuseRelease === undefined
      ? Promise.resolve()
      : Promise.reject(this.refuseRelease);
  }

  openSession(open: Omit<OpenFrame, 'kind'>, events: SessionEvents): StorageSession {
    this.opens.push(open);
    return new FakeSession(this, this.#byId(open.volumeId), open.generation > 0, events);
  }

  close(): void {
    this.closed += 1;
  }

  #volume(name: string): FakeVolume {
    const volume = this.volumes.get(name);
    if (volume === undefined) throw new StorageError('not-found', `no volume ${name}`);
    return volume;
  }

  #byId(volumeId: string): FakeVolume {
    for (const volume of this.volumes.values()) {
      if (volume.message.volumeId === volumeId) return volume;
    }
    throw new StorageError('not-found', `no volume with the id ${volumeId}`);
  }

  #reply<Value>(make: () => Value): Promise<Value> {
    return new Promise((resolve, reject) => {
      if (this.away !== undefined) reject(this.away);
      else resolve(make());
    });
  }
}
