/**
 * A worker: the sessions of its volumes, from their connections to their devices. What concerns the node as a whole it
 * asks of the main thread, or leaves to it. How messages come and go is its caller's business.
 */
import { peerIdentity, type CallPlace } from '../../rpc/peer-identity.js';
import type { ServedCall } from '../../rpc/served-session.js';
import { toServiceError } from '../../rpc/status-code.js';
import type { Clock } from '../../runtime/clock.js';
import type { Warnings } from '../../runtime/repeated-warnings.js';
import { callerOfPeer, type Caller } from '../access-caller.js';
import type { StorageBackend } from '../backend/backend.js';
import type { SessionLimits } from '../node-session.js';
import type { ServiceLog } from '../service-options.js';
import type { EnteringSession, SessionEntry, StreamHost } from '../session-entry.js';
import { SessionStream } from '../session-stream.js';
import { DistantEntry } from './distant-entry.js';
import { heardStorageError } from '../../threads/told-error.js';
import { WorkerConnections } from './worker-connections.js';
import { WorkerDevices } from './worker-devices.js';
import type { FromWorker, Post, ToWorker, WorkerSettings } from './worker-messages.js';

export class WorkerService implements StreamHost {
  readonly sessionLimits: SessionLimits;
  readonly defer = setImmediate;
  readonly log: ServiceLog;
  readonly refusals: Warnings;
  readonly #devices: WorkerDevices;
  readonly #connections: WorkerConnections;
  readonly #entries = new Map<number, DistantEntry>();
  #lastSessionId = 0;

  constructor(
    settings: WorkerSettings,
    engines: readonly StorageBackend[],
    readonly clock: Clock,
    readonly post: Post<FromWorker>,
  ) {
    this.sessionLimits = settings.sessionLimits;
    this.log = {
      info: (fields, message) => {
        post({ kind: 'log', level: 'info', fields, message });
      },
      warn: (fields, message) => {
        post({ kind: 'log', level: 'warn', fields, message });
      },
    };
    this.refusals = {
      warn: (key, fields, sentence) => {
        post({ kind: 'warning', key, fields, sentence });
      },
    };
    this.#devices = new WorkerDevices(engines, post);
    this.#connections = new WorkerConnections({
      clock,
      refusals: this.refusals,
      post,
      onSession: (call, place) => {
        this.#serve(call, place);
      },
    });
  }

  entryOf(session: EnteringSession): SessionEntry {
    this.#lastSessionId += 1;
    const sessionId = this.#lastSessionId;
    const entry = new DistantEntry(sessionId, session, this.#devices, this.post, () => {
      this.#entries.delete(sessionId);
    });
    this.#entries.set(sessionId, entry);
    return entry;
  }

  /** @returns false for `stop`: there is nothing more to do */
  hear(message: ToWorker): boolean {
    switch (message.kind) {
      case 'listens':
        this.#connections.listens(message);
        return true;
      case 'tls':
        this.#connections.replaceTls(message.tls);
        return true;
      case 'connection':
        this.#connections.take(message);
        return true;
      case 'cut':
        this.#connections.cut(message.connectionId);
        return true;
      case 'cut-all':
        this.#connections.cutAll();
        return true;
      case 'call':
        void this.#answer(message);
        return true;
      case 'submit':
        this.#devices.submit(message.deviceId, message.request);
        return true;
      case 'ask':
        this.post({ kind: 'alive' });
        return true;
      case 'stop':
        this.#connections.cutAll();
        return false;
      default:
        this.#tellSession(message);
        return true;
    }
  }

  #serve(call: ServedCall, place: CallPlace): void {
    let caller: Caller;
    try {
      caller = callerOfPeer(peerIdentity(call, place));
    } catch (error) {
      call.emit('error', toServiceError(error));
      return;
    }
    new SessionStream(call, this, caller);
  }

  async #answer({ callId, call }: Extract<ToWorker, { kind: 'call' }>): Promise<void> {
    const answer = await this.#devices.call(call);
    this.post({ kind: 'answer', callId, answer });
  }

  /** One that is gone here meanwhile hears nothing. */
  #tellSession(message: Extract<ToWorker, { sessionId: number }>): void {
    const entry = this.#entries.get(message.sessionId);
    switch (message.kind) {
      case 'admitted':
        entry?.admitted(message);
        return;
      case 'end':
        entry?.session.end(heardStorageError(message.reason));
        return;
      case 'drain':
        entry?.session.drain(heardStorageError(message.reason));
        return;
      case 'resized':
        entry?.session.resized(message.sizeBytes);
        return;
    }
  }
}
