/**
 * Access control over what a node has: names and ids of volumes as a caller asks for them, what it gets to
 * see of the catalog, and the end of sessions whose right was taken away. The decision is access-control.ts.
 */
import type { OpenFrame } from '../rpc/storage-messages.js';
import type { Wanted } from '../config/access-rules.js';
import type { Caller } from './access-caller.js';
import { denied, type AccessControl, type Target } from './access-control.js';
import type { Catalog } from './catalog.js';
import type { SessionTable } from './session-table.js';
import type { VolumeRecord } from './volume-record.js';

/** Names and ids are shorter; what a stranger sends instead is cut in sentences. */
const ASKED_CHARS_SHOWN = 64;

export class AccessGate {
  constructor(
    readonly control: AccessControl,
    readonly catalog: Pick<Catalog, 'list' | 'byId'>,
    readonly sessions: SessionTable,
  ) {}

  /** @throws StorageError 'denied', also for a name that no volume has */
  requireByName(caller: Caller, name: string, wanted: Wanted): void {
    const target = { asked: `volume ${name.slice(0, ASKED_CHARS_SHOWN)}`, volume: name };
    this.control.require(caller, target, wanted);
  }

  /** @throws StorageError 'denied', also for an id that no volume has */
  requireById(caller: Caller, volumeId: string, wanted: Wanted): void {
    this.control.require(caller, this.#targetOf(volumeId), wanted);
  }

  /** @throws StorageError 'denied' unless the caller may read the volume, or write it for a writing session */
  requireMayOpen(caller: Caller, open: Pick<OpenFrame, 'volumeId' | 'generation'>): void {
    this.requireById(caller, open.volumeId, rightFor(open));
  }

  mayTakeOver(caller: Caller, volumeId: string): boolean {
    return this.control.may(caller, this.catalog.byId(volumeId)?.name, 'take-over');
  }

  /** A take-over was refused by the lease. */
  noteNoTakeOver(caller: Caller, volumeId: string): void {
    const target = this.#targetOf(volumeId);
    const { reason } = this.control.decide(caller, target.volume, 'take-over');
    this.control.noteRefusal(caller, target, 'take-over', reason);
  }

  visible(caller: Caller): VolumeRecord[] {
    return this.catalog.list().filter(({ name }) => this.control.may(caller, name, 'see'));
  }

  /** Other rules count now: sessions whose client has lost its right end. @returns how many */
  endUnallowed(): number {
    let endedCount = 0;
    for (const session of this.sessions.all()) {
      const { caller, volumeId } = session;
      const target = this.#targetOf(volumeId);
      const right = rightFor(session);
      const { allowed, reason } = this.control.decide(caller, target.volume, right);
      if (allowed) continue;
      endedCount += 1;
      this.control.noteRefusal(caller, target, right, reason);
      session.end(denied(caller, target, right));
    }
    return endedCount;
  }

  #targetOf(volumeId: string): Target {
    const asked = `a volume with the id ${volumeId.slice(0, ASKED_CHARS_SHOWN)}`;
    return { asked, volume: this.catalog.byId(volumeId)?.name };
  }
}

/** A session of generation 0 reads only. */
function rightFor({ generation }: { readonly generation: number }): Wanted {
  return generation > 0 ? 'write' : 'read';
}
