/**
 * The sessions that are open on this node: looked up by volume when its lease moves, and by attachment
 * and stream when a new one replaces an old one.
 */
import type { StorageError } from '../rpc/storage-error.js';

export interface TableSession {
  readonly volumeId: string;
  readonly attachmentId: string;
  readonly generation: number;
  readonly streamIndex: number;
  /** Ends the session's stream with the reason; nothing of it is executed afterwards. */
  end(reason: StorageError): void;
  /** Resolves when everything it had given to the backend has completed. */
  whenIdle(): Promise<void>;
}

export class SessionTable {
  readonly #sessions = new Set<TableSession>();

  get count(): number {
    return this.#sessions.size;
  }

  add(session: TableSession): void {
    this.#sessions.add(session);
  }

  remove(session: TableSession): void {
    this.#sessions.delete(session);
  }

  all(): TableSession[] {
    return [...this.#sessions];
  }

  ofVolume(volumeId: string): TableSession[] {
    return this.all().filter((session) => session.volumeId === volumeId);
  }

  isConnected(volumeId: string, attachmentId: string): boolean {
    return this.ofVolume(volumeId).some(
      (session) => session.attachmentId === attachmentId && session.generation > 0,
    );
  }

  /** The session that a new one of the same attachment and stream replaces. */
  predecessor(
    open: Pick<TableSession, 'volumeId' | 'attachmentId' | 'streamIndex'>,
  ): TableSession | undefined {
    return this.ofVolume(open.volumeId).find(
      (session) =>
        session.attachmentId === open.attachmentId && session.streamIndex === open.streamIndex,
    );
  }
}
