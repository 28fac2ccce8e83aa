/**
 * What storage.proto's Storage service does, over catalog, leases and sessions. How calls come in, and who may
 * make them, is storage-handlers.ts; a session's stream is session-stream.ts.
 */
import { StorageError } from '../rpc/storage-error.js';
import { protectionFacts } from '../rpc/protection-facts.js';
import type { ServedCall } from '../rpc/served-session.js';
import { toServiceError } from '../rpc/status-code.js';
import type {
  AcquireLeaseRequestMessage,
  CreateVolumeReplyMessage,
  CreateVolumeRequestMessage,
  DeleteVolumeRequestMessage,
  LeaseMessage,
  NodeMessage,
  ReleaseLeaseRequestMessage,
  ResizeVolumeRequestMessage,
  VolumeMessage,
} from '../rpc/storage-messages.js';
import type { Clock } from '../runtime/clock.js';
import { RepeatedWarnings } from '../runtime/repeated-warnings.js';
import { TRUSTED_CALLER, type Caller } from './access-caller.js';
import { AccessControl } from './access-control.js';
import { AccessGate } from './access-gate.js';
import { checkAttachmentId } from './attachment-id.js';
import { makeDurable } from './handover.js';
import { LeaseTable, type Claimant } from './lease-table.js';
import { SessionAdmission } from './session-admission.js';
import type { EnteringSession, SessionEntry, StreamHost } from './session-entry.js';
import type { SessionLimits } from './node-session.js';
import type { SessionHost } from './session-host.js';
import { SessionPlaces } from './session-places.js';
import { SessionStream } from './session-stream.js';
import type { ServiceLog, StorageServiceOptions } from './service-options.js';
import { SessionTable, sessionsByWorker } from './session-table.js';
import { requireUnused } from './volume-use.js';
import type { VolumeRecord } from './volume-record.js';
import { VolumeTurns } from './volume-turns.js';
import { WriteVerifiers } from './write-verifiers.js';

const DEFAULT_BLOCK_BYTES = 512;
/** Longer descriptions are cut: they stand in sentences. */
const DESCRIPTION_CHARS_MAX = 200;

export class StorageService implements SessionHost, StreamHost {
  readonly turns = new VolumeTurns();
  readonly sessions = new SessionTable();
  readonly leases: LeaseTable;
  readonly verifiers: WriteVerifiers;
  readonly gate: AccessGate;
  readonly refusals: RepeatedWarnings;
  /** Of streams that are open, opening, or have not said yet what they are. */
  readonly #places: SessionPlaces;
  #stopping: StorageError | undefined;
  readonly clock: Clock;
  readonly log: ServiceLog;
  readonly sessionLimits: SessionLimits;
  readonly defer: StorageServiceOptions['defer'];
  readonly #startedMs: number;

  constructor(readonly options: StorageServiceOptions) {
    const { catalog, clock, wallClock, leaseTimeoutMs, log } = options;
    this.clock = clock;
    this.log = log;
    this.sessionLimits = options.sessionLimits;
    this.defer = options.defer;
    this.refusals = options.refusals ?? new RepeatedWarnings(log, clock);
    const control = options.access ?? new AccessControl(undefined, this.refusals);
    this.gate = new AccessGate(control, catalog, this.sessions);
    this.#startedMs = clock.nowMs();
    const { sessionsMax, sessionsPerClientMax = sessionsMax } = options;
    this.#places = new SessionPlaces(sessionsMax, sessionsPerClientMax);
    this.verifiers = new WriteVerifiers(options.writeVerifier);
    this.leases = new LeaseTable({
      catalog,
      clock,
      wallClock,
      leaseTimeoutMs,
      turns: this.turns,
      isConnected: (volumeId, attachmentId) => this.sessions.isConnected(volumeId, attachmentId),
      evictWriters: (volumeId, reason) => this.sessions.evictWriters(volumeId, reason),
      makeDurable: (volumeId) => makeDurable(this, volumeId),
    });
  }

  /** No session opens from now on. */
  refuseSessions(reason: StorageError): void {
    this.#stopping = reason;
  }

  requireSessionsAccepted(): void {
    if (this.#stopping !== undefined) throw this.#stopping;
  }

  streamEnded(caller: Caller): void {
    this.#places.give(caller);
  }

  /** Counts only what the caller may see. */
  async getNode(caller = TRUSTED_CALLER): Promise<NodeMessage> {
    const { catalog, clock, software, writeVerifier } = this.options;
    const visible = this.gate.visible(caller);
    const sessions = visible.flatMap(({ volumeId }) => [...this.sessions.ofVolume(volumeId)]);
    return {
      nodeId: catalog.nodeId,
      software,
      backends: [...catalog.backends],
      writeVerifier,
      ...(await catalog.space()),
      uptimeMs: Math.round(clock.nowMs() - this.#startedMs),
      volumeCount: visible.length,
      sessionCount: sessions.length,
      ...protectionFacts(this.options),
      refusals: this.refusals.counts,
      workerSessions: sessionsByWorker(sessions, this.options.workers),
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
    const { name: volume, volumeId, sizeBytes } = record;
    if (!existed)
      log.info(
        { event: 'volume_created', volume, volumeId, sizeBytes },
        `volume ${volume} created`,
      );
    return { volume: await this.describe(record), existed };
  }

  /** Only what the caller may see. */
  async listVolumes(caller = TRUSTED_CALLER): Promise<{ volumes: VolumeMessage[] }> {
    const records = this.gate.visible(caller);
    return { volumes: await Promise.all(records.map((record) => this.describe(record))) };
  }

  getVolume(name: string): Promise<VolumeMessage> {
    return this.describe(this.#byName(name));
  }

  resizeVolume(request: ResizeVolumeRequestMessage): Promise<VolumeMessage> {
    const { log } = this.options;
    const { volumeId } = this.#byName(request.name);
    return this.turns.run(volumeId, async () => {
      const record = this.requireVolume(volumeId);
      if (request.sizeBytes < record.sizeBytes && !request.allowShrink) {
        throw new StorageError(
          'refused',
          `volume ${record.name} has ${record.sizeBytes} bytes: with ${request.sizeBytes} data would be cut off; ` +
            `use --shrink if that is meant`,
        );
      }
      const resized = await this.#resize(volumeId, request.sizeBytes);
      const { name, sizeBytes: toBytes } = resized;
      for (const session of this.sessions.ofVolume(volumeId)) session.resized(toBytes);
      log.info(
        { event: 'volume_resized', volume: name, fromBytes: record.sizeBytes, toBytes },
        `volume ${name} resized`,
      );
      return this.describe(resized);
    });
  }

  async #resize(volumeId: string, sizeBytes: number): Promise<VolumeRecord> {
    try {
      return await this.options.catalog.resize(volumeId, sizeBytes);
    } catch (error) {
      // Linux tells of a lost write once: this may have been the one who was told.
      if (error instanceof StorageError && error.kind === 'internal') {
        this.verifiers.distrust(volumeId);
        this.sessions.endAll(volumeId, new StorageError('unavailable', error.message));
      }
      throw error;
    }
  }

  deleteVolume(request: DeleteVolumeRequestMessage): Promise<object> {
    const { catalog, log } = this.options;
    const { volumeId, name } = this.#byName(request.name);
    if (request.volumeId !== '' && request.volumeId !== volumeId) {
      throw new StorageError(
        'not-found',
        `volume ${name} has the id ${volumeId}, not ${request.volumeId}: it was made anew`,
      );
    }
    return this.turns.run(volumeId, async () => {
      requireUnused(this.requireVolume(volumeId), this.sessions);
      await catalog.delete(volumeId);
      this.leases.forget(volumeId);
      this.verifiers.forget(volumeId);
      log.info({ event: 'volume_deleted', volume: name, volumeId }, `volume ${name} deleted`);
      return {};
    });
  }

  async acquireLease(
    request: AcquireLeaseRequestMessage,
    caller = TRUSTED_CALLER,
  ): Promise<LeaseMessage> {
    const { leaseTimeoutMs, log } = this.options;
    const { attachmentId, takeOver } = request;
    checkAttachmentId(attachmentId);
    // By code points, so that no character is cut in half.
    const description = Array.from(request.description).slice(0, DESCRIPTION_CHARS_MAX).join('');
    const mayTakeOver = this.gate.mayTakeOver(caller, request.volumeId);
    const by = { caller, mayTakeOver };
    const record = await this.#acquire({ ...request, description }, by);
    const { name, generation } = record;
    const client = caller.label;
    log.info(
      { event: 'lease_granted', volume: name, generation, attachmentId, takeOver, client },
      `volume ${name} is now written by ${description}`,
    );
    return {
      generation,
      volume: await this.describe(record),
      expiresAfterMs: leaseTimeoutMs,
    };
  }

  async #acquire(request: AcquireLeaseRequestMessage, by: Claimant): Promise<VolumeRecord> {
    try {
      return await this.leases.acquire(request, by);
    } catch (error) {
      if (error instanceof StorageError && error.kind === 'denied')
        this.gate.noteNoTakeOver(by.caller, request.volumeId);
      throw error;
    }
  }

  async releaseLease(
    request: ReleaseLeaseRequestMessage,
    caller = TRUSTED_CALLER,
  ): Promise<object> {
    await this.leases.release(request, caller);
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
      sessionCount: this.sessions.ofVolume(record.volumeId).size,
    };
  }

  /** @throws StorageError 'not-found' */
  requireVolume(volumeId: string): VolumeRecord {
    const record = this.options.catalog.byId(volumeId);
    if (record === undefined)
      throw new StorageError('not-found', `no volume has the id ${volumeId}`);
    return record;
  }

  /** The handler of OpenSession. */
  openSession(call: ServedCall, caller = TRUSTED_CALLER): void {
    const refusal = this.takePlace(caller);
    if (refusal === undefined) new SessionStream(call, this, caller);
    else call.emit('error', toServiceError(refusal));
  }

  /** @returns why there is no place for a stream; otherwise it has one until `streamEnded` */
  takePlace(caller: Caller): StorageError | undefined {
    const refusal = this.#places.refusal(caller) ?? this.#stopping;
    if (refusal === undefined) this.#places.take(caller);
    return refusal;
  }

  entryOf(session: EnteringSession): SessionEntry {
    return new SessionAdmission(this, session);
  }

  #byName(name: string): VolumeRecord {
    const record = this.options.catalog.byName(name);
    if (record === undefined)
      throw new StorageError('not-found', `this node has no volume named ${name}`);
    return record;
  }
}
