/**
 * The admission of one session, beside the tables of the node: may it, is it the lease's, whom does it replace, and the
 * device that it works on. What it does when it is in is node-session.ts.
 */
import { StorageError } from '../rpc/storage-error.js';
import type { OpenFrame } from '../rpc/storage-messages.js';
import { checkAttachmentId } from './attachment-id.js';
import type { AdmittedSession, EnteringSession, SessionEntry } from './session-entry.js';
import type { SessionHost } from './session-host.js';
import { failedDeviceClosed, flushFailed } from './volume-failure.js';

/** Sessions of one attachment; daemons use one per connection of theirs to the node. */
export const STREAM_INDEX_MAX = 63;

export class SessionAdmission implements SessionEntry {
  /** Settles, without a failure, when the open frame has been dealt with. */
  #entering: Promise<void> | undefined;
  #hasDevice = false;

  constructor(
    readonly host: SessionHost,
    readonly session: EnteringSession,
  ) {}

  check(open: OpenFrame): void {
    // Before anything that depends on whether the volume is there.
    this.host.gate.requireMayOpen(this.session.caller, open);
    checkAttachmentId(open.attachmentId);
    if (open.streamIndex > STREAM_INDEX_MAX) {
      throw new StorageError(
        'invalid',
        `stream_index is ${open.streamIndex}, at most ${STREAM_INDEX_MAX} is possible`,
      );
    }
  }

  enter(open: OpenFrame, opened: (admitted: AdmittedSession) => void): void {
    this.#entering = this.host.turns
      .run(open.volumeId, () => this.#enterInTurn(open, opened))
      .catch((error: unknown) => {
        this.session.end(StorageError.from(error));
      });
  }

  /** In the volume's turn: leases do not move and no other session of the volume opens meanwhile. */
  async #enterInTurn(open: OpenFrame, opened: (admitted: AdmittedSession) => void): Promise<void> {
    const { host, session } = this;
    const { leases, sessions, verifiers, options } = host;
    if (session.isOver) return;
    host.requireSessionsAccepted();
    const record = host.requireVolume(open.volumeId);
    const writer = { ...open, caller: session.caller };
    if (open.generation > 0) leases.requireCurrent(writer);
    const before = sessions.predecessor(writer);
    before?.end(
      new StorageError('unavailable', 'a newer session of the same attachment replaces this one'),
    );
    await before?.whenGone();
    await failedDeviceClosed(host, open.volumeId);
    if (session.isOver) return;
    // From here on a change of the rules finds this session; one from before is found here.
    host.gate.requireMayOpen(session.caller, open);
    sessions.add(session);
    const device = await options.catalog.open(open.volumeId);
    this.#hasDevice = true;
    const volume = await host.describe(record);
    if (session.isOver) return;
    opened({
      device,
      volume,
      writeVerifier: verifiers.ofDevice(open.volumeId, device),
      requireCurrent: () => {
        // Whose generation it is was asked when the session opened.
        if (open.generation > 0) leases.requireCurrent(open);
      },
      flushFailed: (error) => {
        flushFailed(host, open.volumeId, device, error);
      },
    });
  }

  async leave(): Promise<void> {
    const { host, session } = this;
    const { volumeId, attachmentId, generation, caller } = session;
    await this.#entering;
    try {
      if (this.#hasDevice) await host.options.catalog.release(volumeId);
    } catch (error) {
      host.options.log.info(
        { event: 'release_failed', volumeId, attachmentId, generation, client: caller.label },
        `volume ${volumeId} could not be closed: ${String(error)}`,
      );
    }
    host.sessions.remove(session);
    if (generation > 0) host.leases.noteSeen(volumeId, attachmentId);
    host.streamEnded(caller);
  }
}
