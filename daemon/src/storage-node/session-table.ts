/**
 * The sessions that are open on this node: looked up by volume when its lease moves, and by attachment
 * and stream when a new one replaces an old one.
 */
import type { StorageError } from '../rpc/storage-error.js';
import { isOwner, type Caller } from './access-caller.js';

export interface TableSession {
  readonly volumeId: string;
  readonly attachmentId: string;
  /** 0: read-only. */
  readonly generation: number;
  readonly streamIndex: number;
  /** Whose it is: another client's session is not replaced by naming its attachment. */
  readonly caller: Caller;
  /** Number of the thread that serves it; absent: the main thread. */
  readonly worker?: number;
  /** Ends the stream with the reason; nothing that it still receives is executed. */
  end(reason: StorageError): void;
  /** Executes nothing new, answers what was received, then ends the stream with the reason. */
  drain(reason: StorageError): void;
  /** The volume has another size now. */
  resized(sizeBytes: number): void;
  /** Resolves when it has ended and everything that it had given to the backend has completed. */
  whenGone(): Promise<void>;
}

const NO_SESSIONS: ReadonlySet<TableSession> = new Set();

export class SessionTable {
  readonly #byVolume = new Map<string, Set<TableSession>>();

  get count(): number {
    let count = 0;
    for (const sessions of this.#byVolume.values()) count += sessions.size;
    return count;
  }

  add(session: TableSession): void {
    const sessions = this.#byVolume.get(session.volumeId);
    if (sessions === undefined) this.#byVolume.set(session.volumeId, new Set([session]));
    else sessions.add(session);
  }

  remove(session: TableSession): void {
    const sessions = this.#byVolume.get(session.volumeId);
    sessions?.delete(session);
    if (sessions?.size === 0) this.#byVolume.delete(session.volumeId);
  }

  all(): TableSession[] {
    return [...this.#byVolume.values()].flatMap((sessions) => [...sessions]);
  }

  ofVolume(volumeId: string): ReadonlySet<TableSession> {
    return this.#byVolume.get(volumeId) ?? NO_SESSIONS;
  }

  /** Ids of the volumes that have a session. */
  volumeIds(): string[] {
    return [...this.#byVolume.keys()];
  }

  /** True if a writing session of this attachment is open. */
  isConnected(volumeId: string, attachmentId: string): boolean {
    for (const session of this.ofVolume(volumeId)) {
      if (session.attachmentId === attachmentId && session.generation > 0) return true;
    }
    return false;
  }

  /** The session that a new one of the same client, attachment and stream replaces. */
  predecessor(
    open: Pick<TableSession, 'volumeId' | 'attachmentId' | 'streamIndex' | 'caller'>,
  ): TableSession | undefined {
    for (const session of this.ofVolume(open.volumeId)) {
      if (
        session.attachmentId === open.attachmentId &&
        session.streamIndex === open.streamIndex &&
        isOwner(open.caller, session.caller.names)
      )
        return session;
    }
    return undefined;
  }

  /** Ends every session of a volume, now. */
  endAll(volumeId: string, reason: StorageError): void {
    for (const session of [...this.ofVolume(volumeId)]) session.end(reason);
  }

  /** Resolves when the sessions that a volume has now are gone. */
  async allGone(volumeId: string): Promise<void> {
    await Promise.all([...this.ofVolume(volumeId)].map((session) => session.whenGone()));
  }

  /** Ends the writing sessions of a volume; resolves when all are gone. */
  async evictWriters(volumeId: string, reason: StorageError): Promise<void> {
    const writers = [...this.ofVolume(volumeId)].filter(({ generation }) => generation > 0);
    for (const writer of writers) writer.end(reason);
    await Promise.all(writers.map((writer) => writer.whenGone()));
  }
}

/** How many sessions each of the workers serves; none where there is only the main thread. */
export function sessionsByWorker(sessions: readonly TableSession[], workers = 1): number[] {
  if (workers === 1) return [];
  const counts = new Array<number>(workers).fill(0);
  for (const { worker } of sessions) {
    if (worker !== undefined) counts[worker] = (counts[worker] ?? 0) + 1;
  }
  return counts;
}
