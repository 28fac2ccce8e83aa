/**
 * The workers of a node (setting `workers`): volumes are spread over them by their lanes, and each serves the sessions of
 * its volumes. The main thread accepts connections, and keeps all that is about more than one volume: the catalog,
 * leases, rules, places, and every call but OpenSession.
 */
import { randomUUID } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type {
  ConnectionHall,
  ConnectionTaker,
  GivenConnection,
} from '../../rpc/given-connection.js';
import { laneOf } from '../../rpc/session-lane.js';
import type { StorageBackend } from '../backend/backend.js';
import { createBackends } from '../backend/backend-registry.js';
import type { Caller } from '../access-caller.js';
import type { ServiceLog } from '../service-options.js';
import type { SessionHost } from '../session-host.js';
import { flushFailed } from '../volume-failure.js';
import { DistantBackend } from './distant-backend.js';
import { DistantSession } from './distant-session.js';
import { toldError } from '../../threads/told-error.js';
import type { FromWorker, WorkerSettings } from './worker-messages.js';
import { WorkerThread } from './worker-thread.js';

/** Of 64 workers one is missed so often once in ten million times, and then the id is any. */
const ID_DRAWS_MAX = 1024;

/** The node's tables, with places for streams. */
export interface PoolHost extends SessionHost {
  takePlace(caller: Caller): Error | undefined;
}

interface Member {
  readonly thread: WorkerThread;
  readonly sessions: Map<number, DistantSession>;
  /** By connection: its place is free again. */
  readonly leave: Map<number, () => void>;
}

export class WorkerPool implements ConnectionTaker {
  readonly #members: Member[];
  #host: PoolHost | undefined;
  #hall: ConnectionHall | undefined;
  #lastConnectionId = 0;

  /** They can be given work at once, and do it when they are ready. @param program what a worker runs */
  constructor(
    readonly count: number,
    program: URL,
    settings: WorkerSettings,
    readonly log: ServiceLog,
  ) {
    this.#members = Array.from({ length: count }, (_, index) =>
      this.#begin(new Worker(program, { workerData: settings, name: `worker ${index}` }), index),
    );
  }

  #begin(worker: Worker, index: number): Member {
    const member: Member = {
      thread: new WorkerThread(
        worker,
        (message) => {
          this.#hear(member, index, message);
        },
        (device, error) => {
          if (this.#host !== undefined) flushFailed(this.#host, device.volumeId, device, error);
        },
      ),
      sessions: new Map(),
      leave: new Map(),
    };
    return member;
  }

  /** Backends as every node has them, with their volumes in the workers. */
  backends(): StorageBackend[] {
    const threadOf = (volumeId: string): WorkerThread => this.#member(laneOf(volumeId)).thread;
    return createBackends().map(({ name }) => new DistantBackend(name, threadOf));
  }

  /** An id whose volume is in a worker that has the fewest. */
  newVolumeId(others: readonly string[]): string {
    const counts = new Array<number>(this.count).fill(0);
    for (const other of others)
      counts[this.#indexOf(other)] = (counts[this.#indexOf(other)] ?? 0) + 1;
    const fewest = Math.min(...counts);
    for (let draws = 0; ; draws += 1) {
      const id = randomUUID();
      if (counts[this.#indexOf(id)] === fewest || draws === ID_DRAWS_MAX) return id;
    }
  }

  /** Before the first connection. */
  serve(host: PoolHost): void {
    this.#host = host;
  }

  listens(hall: ConnectionHall): void {
    this.#hall = hall;
    const { place, material } = hall;
    const tls = material?.current.contextOptions;
    this.#toAll({ kind: 'listens', place, ...(tls === undefined ? {} : { tls }) });
    material?.onReplaced(({ contextOptions }) => {
      this.#toAll({ kind: 'tls', tls: contextOptions });
    });
  }

  take({ fd, first, lane }: GivenConnection, leave: () => void): () => void {
    const { thread, leave: leaves } = this.#member(lane);
    this.#lastConnectionId += 1;
    const connectionId = this.#lastConnectionId;
    leaves.set(connectionId, leave);
    thread.post({ kind: 'connection', connectionId, fd, first, lane }, [first.buffer]);
    return () => {
      thread.post({ kind: 'cut', connectionId });
    };
  }

  cutAll(): void {
    this.#toAll({ kind: 'cut-all' });
  }

  /** Whether every worker has answered since the last call. The first one finds none that has not. */
  isAlive(): boolean {
    return this.#members.map(({ thread }) => thread.isAnswering()).every((one) => one);
  }

  /** Ends them; the devices are closed. */
  async stop(): Promise<void> {
    await Promise.all(this.#members.map(({ thread }) => thread.stop()));
  }

  #member(lane: number): Member {
    const member = this.#members[lane % this.count];
    if (member === undefined) throw new Error('there is no worker');
    return member;
  }

  #indexOf(volumeId: string): number {
    return laneOf(volumeId) % this.count;
  }

  #toAll(message: Parameters<WorkerThread['post']>[0]): void {
    for (const { thread } of this.#members) thread.post(message);
  }

  #hear(member: Member, index: number, message: FromWorker): void {
    const { sessions, leave } = member;
    switch (message.kind) {
      case 'secured':
        this.#hall?.identified(message.remote);
        return;
      case 'called':
        this.#hall?.identified(message.remote);
        this.#hall?.onWindows(message.windows);
        return;
      case 'closed':
        leave.get(message.connectionId)?.();
        leave.delete(message.connectionId);
        return;
      case 'stream':
        this.#admitStream(member, index, message);
        return;
      case 'open':
        sessions.get(message.sessionId)?.open(message.open);
        return;
      case 'gone':
        void sessions.get(message.sessionId)?.gone();
        sessions.delete(message.sessionId);
        return;
      case 'log':
        this.log[message.level](message.fields, message.message);
        return;
      case 'warning':
        this.#host?.refusals.warn(message.key, message.fields, message.sentence);
        return;
      default:
        throw new Error(`the pool does not hear of ${message.kind}`);
    }
  }

  #admitStream(
    { thread, sessions }: Member,
    index: number,
    { sessionId, caller }: { readonly sessionId: number; readonly caller: Caller },
  ): void {
    const host = this.#host;
    if (host === undefined) throw new Error('a session came before the node served any');
    const refusal = host.takePlace(caller);
    if (refusal !== undefined) {
      thread.post({ kind: 'end', sessionId, reason: toldError(refusal) });
      return;
    }
    const hasVolume = (volumeId: string): boolean => this.#indexOf(volumeId) === index;
    sessions.set(
      sessionId,
      new DistantSession(sessionId, host, caller, thread.post, index, hasVolume),
    );
  }
}
