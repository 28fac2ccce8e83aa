/**
 * A storage node as a gRPC server: the Storage service, health and reflection, on one address; and the
 * ordered stop, which leaves everything answered on stable storage.
 */
import { Server } from '@grpc/grpc-js';
import { submitAsync } from '../block/block-device.js';
import { BlockError } from '../block/block-error.js';
import { flushRequest } from '../block/block-request.js';
import { REQUEST_BYTES_MAX } from '../block/device-facts.js';
import { serverOptions, type CallLimits } from '../rpc/channel-options.js';
import type { Protection } from '../rpc/credentials.js';
import { areLarge } from '../rpc/http2-window.js';
import { peerIdentity, type CallPlace } from '../rpc/peer-identity.js';
import { listen, type ServerListener } from '../rpc/server-listener.js';
import { STORAGE_SERVICE, withReadableRefusals } from '../rpc/service-definition.js';
import { addStandardServices, type SetHealth } from '../rpc/standard-services.js';
import { StorageError } from '../rpc/storage-error.js';
import type { PlaceLimits } from '../runtime/connection-places.js';
import { RepeatedWarnings } from '../runtime/repeated-warnings.js';
import { callerOfPeer } from './access-caller.js';
import type { BackendVolume } from './backend/backend.js';
import type { StorageServiceOptions } from './service-options.js';
import { sessionHandler, storageHandlers, type CallerOf } from './storage-handlers.js';
import { StorageService } from './storage-service.js';
import type { WorkerPool } from './workers/worker-pool.js';
import { newWriteVerifier } from './write-verifiers.js';

/** No session is left then: who is there reads that the server goes and goes too, who is not never will. */
const GOODBYE_MS = 1000;

export interface NodeOptions
  extends Omit<StorageServiceOptions, 'writeVerifier' | 'insecure'>, Protection {
  /** `host:port` (port 0 takes a free one) or `unix:/path`. */
  readonly address: string;
  /** How many connections there may be; absent: as server-door.ts has it. */
  readonly places?: PlaceLimits;
  /** What one connection may have; absent: as channel-options.ts has it. */
  readonly callLimits?: CallLimits;
  /** Who calls; absent: whom the connection proves. */
  readonly callerOf?: CallerOf;
  /** Whose volumes the catalog's backends have; absent: everything is done by the main thread. Ended by their maker. */
  readonly pool?: WorkerPool | undefined;
}

export interface RunningNode {
  /** With the port that was really taken. */
  readonly address: string;
  readonly service: StorageService;
  /**
   * Stops in order: no new connections and sessions; what was received is answered; every open volume is
   * flushed; the catalog is closed. What is not over after deadlineMs is cut off.
   *
   * @throws StorageError 'internal' when a volume could not be flushed; everything is closed even so
   */
  stop(deadlineMs: number): Promise<void>;
}

/** @throws StorageError when a setting is wrong or the address cannot be had */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  checkLimits(options);
  const service = new StorageService({
    defer: setImmediate,
    ...options,
    writeVerifier: newWriteVerifier(),
  });
  options.pool?.serve(service);
  const server = new Server(serverOptions(options.callLimits));
  // Nobody calls before there is a listener.
  let place: CallPlace = { address: options.address, isTls: true };
  const callerOf: CallerOf = (call) => callerOfPeer(peerIdentity(call, place));
  const whose = options.callerOf ?? callerOf;
  server.addService(withReadableRefusals(STORAGE_SERVICE), storageHandlers(service, whose));
  const setHealth = addStandardServices(server, 'blkferry.storage.v1.Storage');
  // They are served, so they are not among those whom the status counts as turned away.
  const slowClients = new RepeatedWarnings(options.log, options.clock);
  const listener = await listen(server, {
    address: options.address,
    insecure: options.insecure,
    tls: options.tls,
    refusals: service.refusals,
    places: options.places,
    onSession: sessionHandler(service, whose),
    taker: options.pool,
    onWindows: (windows) => {
      if (areLarge(windows)) return;
      slowClients.warn(
        '',
        { event: 'small_window_seen', ...windows },
        'a client connected with small flow-control windows: large requests will be slow',
      );
    },
  });
  place = listener;
  const warnings = [service.refusals, slowClients];
  const running = new NodeServer(server, service, listener, setHealth, warnings);
  return { address: listener.address, service, stop: (deadlineMs) => running.stop(deadlineMs) };
}

function checkLimits({ sessionLimits, sessionsMax }: NodeOptions): void {
  if (sessionLimits.bytesInFlightMax < REQUEST_BYTES_MAX) {
    throw new StorageError(
      'invalid',
      `bytes in flight are limited to ${sessionLimits.bytesInFlightMax}: at least one longest request ` +
        `(${REQUEST_BYTES_MAX}) must fit`,
    );
  }
  if (sessionLimits.requestsInFlightMax < 1 || sessionsMax < 1)
    throw new StorageError('invalid', 'a node needs room for one session and one request');
}

class NodeServer {
  #stopped: Promise<void> | undefined;

  constructor(
    readonly server: Server,
    readonly service: StorageService,
    readonly listener: ServerListener,
    readonly setHealth: SetHealth,
    /** Tell at the end what they left out. */
    readonly warnings: readonly RepeatedWarnings[],
  ) {}

  /** Once; later calls wait for the first. */
  stop(deadlineMs: number): Promise<void> {
    this.#stopped ??= this.#stop(this.service.options.clock.nowMs() + deadlineMs).finally(() => {
      for (const warnings of this.warnings) warnings.settle();
    });
    return this.#stopped;
  }

  async #stop(untilMs: number): Promise<void> {
    const { catalog } = this.service.options;
    const reason = new StorageError('unavailable', 'the node is stopping');
    this.setHealth('NOT_SERVING');
    this.listener.stopAccepting();
    this.service.refuseSessions(reason);
    const failures: string[] = [];
    const held = await this.#holdVolumes(failures);
    const sessions = this.service.sessions.all();
    for (const session of sessions) session.drain(reason);
    await this.#within(untilMs, Promise.all(sessions.map((session) => session.whenGone())));
    await this.#within(untilMs, this.#flush(held, failures));
    const goodbyeMs = this.service.options.clock.nowMs() + GOODBYE_MS;
    await this.#within(Math.min(untilMs, goodbyeMs), this.#shutDown());
    this.server.forceShutdown();
    this.listener.cutSessions();
    await catalog.close();
    if (failures.length > 0) throw new StorageError('internal', failures.join('; '));
  }

  /** The last session's end would close its volume before it is flushed. */
  async #holdVolumes(failures: string[]): Promise<Map<string, BackendVolume>> {
    const { catalog } = this.service.options;
    const held = new Map<string, BackendVolume>();
    for (const volumeId of this.service.sessions.volumeIds()) {
      try {
        held.set(volumeId, await catalog.open(volumeId));
      } catch (error) {
        failures.push(BlockError.from(error).reason);
      }
    }
    return held;
  }

  async #flush(held: ReadonlyMap<string, BackendVolume>, failures: string[]): Promise<void> {
    const { catalog, log } = this.service.options;
    for (const [volumeId, device] of held) {
      try {
        await submitAsync(device, flushRequest());
      } catch (error) {
        const name = catalog.byId(volumeId)?.name ?? volumeId;
        const sentence = `volume ${name} could not be flushed: ${BlockError.from(error).reason}`;
        failures.push(sentence);
        log.warn({ event: 'flush_failed', volumeId }, sentence);
      }
      await catalog.release(volumeId);
    }
  }

  #shutDown(): Promise<void> {
    return new Promise((resolve) => {
      this.server.tryShutdown(() => {
        resolve();
      });
    });
  }

  /** Waits for the work or the time, whichever comes first. */
  #within(untilMs: number, work: Promise<unknown>): Promise<void> {
    const { clock } = this.service.options;
    return new Promise((resolve, reject) => {
      const cancel = clock.setTimer(Math.max(0, untilMs - clock.nowMs()), resolve);
      work.then(() => {
        cancel();
        resolve();
      }, reject);
    });
  }
}
