/**
 * The way of a worker's session into the node, whose tables are the main thread's: what distant-session.ts says there is
 * heard here.
 */
import type { OpenFrame } from '../../rpc/storage-messages.js';
import type { AdmittedSession, EnteringSession, SessionEntry } from '../session-entry.js';
import type { HeldDevice, WorkerDevices } from './worker-devices.js';
import type { FromWorker, Post, ToWorker } from './worker-messages.js';

export class DistantEntry implements SessionEntry {
  #opened: ((admitted: AdmittedSession) => void) | undefined;
  #held: HeldDevice | undefined;

  constructor(
    readonly sessionId: number,
    readonly session: EnteringSession,
    readonly devices: WorkerDevices,
    readonly post: Post<FromWorker>,
    /** Nothing is heard of it any more. */
    readonly forget: () => void,
  ) {
    post({ kind: 'stream', sessionId, caller: session.caller });
  }

  /** Where the rules are it is checked before it enters. */
  check(): void {
    return;
  }

  enter(open: OpenFrame, opened: (admitted: AdmittedSession) => void): void {
    this.#opened = opened;
    this.post({ kind: 'open', sessionId: this.sessionId, open });
  }

  admitted(message: Extract<ToWorker, { kind: 'admitted' }>): void {
    const { session, devices } = this;
    // It has ended meanwhile, and that it is gone is on its way.
    if (session.isOver) return;
    const held = devices.require(message.deviceId);
    if (held.failure !== undefined) {
      session.end(held.failure);
      return;
    }
    const { volume, writeVerifier } = message;
    held.volumeName = volume.name;
    held.sessions.add(session);
    this.#held = held;
    this.#opened?.({
      device: held.device,
      volume,
      writeVerifier,
      // The generation is the volume's until the main thread ends the session, and waits until that is done.
      requireCurrent: () => undefined,
      flushFailed: (error) => {
        devices.flushFailed(held, error);
      },
    });
  }

  leave(): Promise<void> {
    this.#held?.sessions.delete(this.session);
    this.forget();
    this.post({ kind: 'gone', sessionId: this.sessionId });
    return Promise.resolve();
  }
}
