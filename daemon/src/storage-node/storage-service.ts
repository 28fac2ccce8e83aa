/**
 * The handlers of storage.proto's Storage service over catalog and lease table: decode, ask, encode.
 * The session's stream is session-stream.ts.
 */
import type {
  sendUnaryData,
  ServerDuplexStream,
  ServerUnaryCall,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Clock } from '../runtime/clock.js';
import { StorageError } from '../rpc/storage-error.js';
import { toServiceError } from '../rpc/status-code.js';
import type {
  AcquireLeaseRequestMessage,
  ClientFrame,
  CreateVolumeReplyMessage,
  CreateVolumeRequestMessage,
  DeleteVolumeRequestMessage,
  LeaseMessage,
  NodeFrame,
  NodeMessage,
  ReleaseLeaseRequestMessage,
  ResizeVolumeRequestMessage,
  VolumeMessage,
} from '../rpc/storage-messages.js';
import type { Catalog } from './catalog.js';
import { LeaseTable } from './lease-table.js';
import type { SessionLimits } from './node-session.js';
import { serveSession } from './session-stream.js';
import { SessionTable } from './session-table.js';
import type { VolumeRecord } from './volume-record.js';

export interface ServiceLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface StorageServiceOptions {
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly leaseTimeoutMs: number;
  /** Name and version, for people. */
  readonly software: string;
  /** Chosen anew at every start of the node; never 0. */
  readonly writeVerifier: bigint;
  readonly sessionsMax: number;
  readonly sessionLimits: SessionLimits;
  readonly log: ServiceLog;
}

const DEFAULT_BLOCK_BYTES = 512;

export class StorageService {
  readonly sessions = new SessionTable();
  readonly leases: LeaseTable;
  readonly #startedMs: number;

  constructor(readonly options: StorageServiceOptions) {
    this.#startedMs = options.clock.nowMs();
    this.leases = new LeaseTable({
      catalog: options.catalog,
      clock: options.clock,
      wallClock: options.wallClock,
      leaseTimeoutMs: options.leaseTimeoutMs,
      isConnected: (volumeId, attachmentId) => this.sessions.isConnected(volumeId, attachmentId),
      onMoved: (volumeId, reason) => {
        for (const session of this.sessions.ofVolume(volumeId)) {
          if (session.generation > 0) session.end(reason);
        }
      },
    });
  }

  /** As grpc.Server.addService wants it. */
  handlers(): UntypedServiceImplementation {
    return {
      GetNode: unary(() => this.getNode()),
      CreateVolume: unary((request: CreateVolumeRequestMessage) => this.createVolume(request)),
      ListVolumes: unary(() => this.listVolumes()),
      GetVolume: unary((request: { name: string }) => this.getVolume(request.name)),
      ResizeVolume: unary((request: ResizeVolumeRequestMessage) => this.resizeVolume(request)),
      DeleteVolume: unary((request: DeleteVolumeRequestMessage) => this.deleteVolume(request)),
      AcquireLease: unary((request: AcquireLeaseRequestMessage) => this.acquireLease(request)),
      ReleaseLease: unary((request: ReleaseLeaseRequestMessage) => this.releaseLease(request)),
      OpenSession: (call: ServerDuplexStream<ClientFrame, NodeFrame>) => {
        serveSession(call, this);
      },
    };
  }

  async getNode(): Promise<NodeMessage> {
    const { catalog, clock, software, writeVerifier } = this.options;
    return {
      nodeId: catalog.nodeId,
      software,
      backends: [...catalog.backends],
      writeVerifier,
      ...(await catalog.space()),
      uptimeMs: Math.round(clock.nowMs() - this.#startedMs),
      volumeCount: catalog.list().length,
      sessionCount: this.sessions.count,
    };
  }

  async createVolume(request: CreateVolumeRequestMessage): Promise<CreateVolumeReplyMessage> {
    const { catalog, log } = this.options;
    const { record, existed } = await catalog.create({
      name: request.name,
      sizeBytes: request.sizeBytes,
      blockBytes: request.blockBytes === 0 ? DEFAULT_BLOCK_BYTES : request.blockBytes,
      backend: request.backend === '' ? (catalog.backends[0] ?? '') : request.backend,
    });
    if (!existed)
      log.info(
        {
          event: 'volume_created',
          volume: record.name,
          volumeId: record.volumeId,
          sizeBytes: record.sizeBytes,
        },
        `volume ${record.name} created`,
      );
    return { volume: await this.describe(record), existed };
  }

  async listVolumes(): Promise<{ volumes: VolumeMessage[] }> {
    return {
      volumes: await Promise.all(
        this.options.catalog.list().map((record) => this.describe(record)),
      ),
    };
  }

  getVolume(name: string): Promise<VolumeMessage> {
    return this.describe(this.#byName(name));
  }

  async resizeVolume(request: ResizeVolumeRequestMessage): Promise<VolumeMessage> {
    const { catalog, log } = this.options;
    const record = this.#byName(request.name);
    if (request.sizeBytes < record.sizeBytes && !request.allowShrink) {
      throw new StorageError(
        'refused',
        `volume ${record.name} has ${record.sizeBytes} bytes: making it ${request.sizeBytes} would cut data off; use --shrink if that is meant`,
      );
    }
    const resized = await catalog.resize(record.volumeId, request.sizeBytes);
    log.info(
      {
        event: 'volume_resized',
        volume: record.name,
        fromBytes: record.sizeBytes,
        toBytes: resized.sizeBytes,
      },
      `volume ${record.name} resized`,
    );
    return this.describe(resized);
  }

  async deleteVolume(request: DeleteVolumeRequestMessage): Promise<object> {
    const { catalog, log } = this.options;
    const record = this.#byName(request.name);
    if (request.volumeId !== '' && request.volumeId !== record.volumeId) {
      throw new StorageError(
        'not-found',
        `volume ${request.name} has the id ${record.volumeId}, not ${request.volumeId}`,
      );
    }
    if (this.sessions.ofVolume(record.volumeId).length > 0 || this.leases.isHeld(record)) {
      const by = record.holder === undefined ? 'a reader' : record.holder.description;
      throw new StorageError(
        'refused',
        `volume ${record.name} is in use by ${by}; detach it there first`,
      );
    }
    await catalog.delete(record.volumeId);
    log.info(
      { event: 'volume_deleted', volume: record.name, volumeId: record.volumeId },
      `volume ${record.name} deleted`,
    );
    return {};
  }

  async acquireLease(request: AcquireLeaseRequestMessage): Promise<LeaseMessage> {
    const { leaseTimeoutMs, log } = this.options;
    if (request.attachmentId === '' || request.attachmentId.length > 64) {
      throw new StorageError('invalid', 'attachment_id must have 1 to 64 characters');
    }
    const record = await this.leases.acquire(request);
    log.info(
      {
        event: 'lease_granted',
        volume: record.name,
        generation: record.generation,
        attachmentId: request.attachmentId,
        takeOver: request.takeOver,
      },
      `volume ${record.name} is now written by ${request.description}`,
    );
    return {
      generation: record.generation,
      volume: await this.describe(record),
      expiresAfterMs: leaseTimeoutMs,
    };
  }

  async releaseLease(request: ReleaseLeaseRequestMessage): Promise<object> {
    await this.leases.release(request);
    return {};
  }

  async describe(record: VolumeRecord): Promise<VolumeMessage> {
    const { holder } = record;
    return {
      volumeId: record.volumeId,
      name: record.name,
      sizeBytes: record.sizeBytes,
      blockBytes: record.blockBytes,
      backend: record.backend,
      allocatedBytes: await this.options.catalog.allocatedBytes(record.volumeId),
      createdUnixMs: record.createdUnixMs,
      generation: record.generation,
      holder: holder && {
        attachmentId: holder.attachmentId,
        description: holder.description,
        sinceUnixMs: holder.sinceUnixMs,
        connected: this.sessions.isConnected(record.volumeId, holder.attachmentId),
      },
      sessionCount: this.sessions.ofVolume(record.volumeId).length,
    };
  }

  #byName(name: string): VolumeRecord {
    const record = this.options.catalog.byName(name);
    if (record !== undefined) return record;
    const others = this.options.catalog.list().map((one) => one.name);
    const known =
      others.length === 0
        ? 'this node has no volumes'
        : `this node has ${others.slice(0, 10).join(', ')}`;
    throw new StorageError('not-found', `no volume is named ${name}; ${known}`);
  }
}

/** A promise-returning function as a unary handler; whatever it throws becomes a status with a sentence. */
export function unary<Request extends object, Reply extends object>(
  answer: (request: Request) => Promise<Reply>,
): (call: ServerUnaryCall<Request, Reply>, reply: sendUnaryData<Reply>) => void {
  return (call, reply) => {
    answer(call.request).then(
      (message) => {
        reply(null, message);
      },
      (error: unknown) => {
        reply(toServiceError(error));
      },
    );
  };
}
