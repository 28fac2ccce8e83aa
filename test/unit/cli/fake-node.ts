/**
 * A storage node in memory for the command's tests: volumes with content, leases, sessions that answer
 * out of order, and the ways in which a node can fail in the middle of a transfer.
 */
import { BlockError } from '#daemon/block/block-error.js';
import { DONE, failed, type BlockRequest, type BlockResult } from '#daemon/block/block-request.js';
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

export const KiB = 1024;
export const MiB = 1024 * KiB;

interface FakeVolume {
  message: VolumeMessage;
  content: Buffer;
}

interface Waiting {
  readonly sequence: number;
  readonly request: BlockRequest;
}

export class FakeNode implements StorageClient {
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

/** Answers what has gathered in a turn of the event loop, the last first. */
class FakeSession implements StorageSession {
  #waiting: Waiting[] = [];
  #over = false;

  constructor(
    readonly node: FakeNode,
    readonly volume: FakeVolume,
    readonly writer: boolean,
    readonly events: SessionEvents,
  ) {
    setImmediate(() => {
      if (node.refuseOpen !== undefined) this.#end(node.refuseOpen);
      else this.#open();
    });
  }

  send(sequence: number, request: BlockRequest): void {
    if (this.#over) return;
    const index = this.node.received.push(request) - 1;
    if (index >= this.node.endAtRequest) {
      setImmediate(() => {
        this.#end(this.node.endReason);
      });
      return;
    }
    this.#waiting.push({ sequence, request });
    this.node.inFlightSeenMax = Math.max(this.node.inFlightSeenMax, this.#waiting.length);
    if (this.#waiting.length === 1) this.#answerAfter(this.node.answerTurns);
  }

  #answerAfter(turns: number): void {
    setImmediate(() => {
      if (turns > 1) this.#answerAfter(turns - 1);
      else this.#answer();
    });
  }

  close(): void {
    this.#over = true;
  }

  #open(): void {
    if (this.#over) return;
    const { node, volume } = this;
    this.events.opened({
      kind: 'opened',
      writeVerifier: 1n,
      volume: volume.message,
      capabilities: {
        canWrite: this.writer,
        fua: 'emulated',
        canTrim: true,
        canFastZero: node.canFastZero,
        canBlockStatus: node.canBlockStatus,
      },
      preferredBytes: 4096,
      requestBytesMax: node.requestBytesMax,
      checksum: 'crc32c',
      requestsInFlightMax: node.requestsInFlightMax,
      bytesInFlightMax: node.bytesInFlightMax,
    });
    node.onOpened?.();
  }

  #end(reason: StorageError): void {
    if (this.#over) return;
    this.#over = true;
    this.events.ended(reason);
  }

  #answer(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    // Executed in order, answered in the opposite one: a node may do both.
    const answers = waiting.map(({ sequence, request }) => {
      const index = this.node.received.indexOf(request);
      const result = this.node.intercept?.(request, index) ?? this.#execute(request);
      return { sequence, request, result };
    });
    for (const { sequence, request, result } of answers.reverse()) {
      if (this.#over) return;
      if (request.kind === 'flush') this.events.verifierSeen(this.node.verifierAtFlush);
      if (!this.#over) this.events.completed(sequence, result);
    }
  }

  #execute(request: BlockRequest): BlockResult {
    const { kind, offsetBytes, lengthBytes } = request;
    const { content } = this.volume;
    const { blockBytes } = this.volume.message;
    const endBytes = offsetBytes + lengthBytes;
    if (offsetBytes % blockBytes !== 0 || lengthBytes % blockBytes !== 0) {
      return failed(new BlockError('EINVAL', `not aligned: ${offsetBytes}, ${lengthBytes}`));
    }
    if (endBytes > content.length) return failed(new BlockError('EINVAL', 'beyond the end'));
    if (!this.writer && kind.startsWith('write')) return failed(new BlockError('EPERM', 'reader'));
    switch (kind) {
      case 'read':
        return { ...DONE, payload: Buffer.from(content.subarray(offsetBytes, endBytes)) };
      case 'write':
        Buffer.concat(request.payload).copy(content, offsetBytes);
        return DONE;
      case 'write-zeroes':
        content.fill(0, offsetBytes, endBytes);
        return DONE;
      case 'block-status':
        return { ...DONE, extents: extentsOf(content, offsetBytes, endBytes) };
      default:
        return DONE;
    }
  }
}

/** Holes in units of 4096, at most eight extents in an answer. */
function extentsOf(content: Buffer, fromBytes: number, toBytes: number): BlockResult['extents'] {
  const extents: { lengthBytes: number; hole: boolean; zero: boolean }[] = [];
  for (let atBytes = fromBytes; atBytes < toBytes;) {
    const lengthBytes = Math.min(4096 - (atBytes % 4096), toBytes - atBytes);
    const zero = content.subarray(atBytes, atBytes + lengthBytes).every((byte) => byte === 0);
    const last = extents.at(-1);
    if (last?.zero === zero) last.lengthBytes += lengthBytes;
    else if (extents.length === 8) break;
    else extents.push({ lengthBytes, hole: zero, zero });
    atBytes += lengthBytes;
  }
  return extents;
}
