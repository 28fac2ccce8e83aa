/**
 * What the main thread and a worker say to each other, over one port in each direction: what was said first is heard
 * first, and several sentences of this room rely on that.
 *
 * Connections, sessions, devices, calls and requests are named by numbers. A connection's, device's, call's and request's
 * is chosen by the main thread, a session's by the worker.
 */
import type { SecureContextOptions } from 'node:tls';
import type { DeviceFacts } from '../../block/device-facts.js';
import type { WindowSizes } from '../../rpc/http2-window.js';
import type { CallPlace } from '../../rpc/peer-identity.js';
import type { RemoteEnd } from '../../rpc/server-door.js';
import type { OpenFrame, VolumeMessage } from '../../rpc/storage-messages.js';
import type { WarningFields } from '../../runtime/repeated-warnings.js';
import type { Caller } from '../access-caller.js';
import type { VolumeIdentity } from '../backend/backend.js';
import type { SessionLimits } from '../node-session.js';
import type { ToldError } from '../../threads/told-error.js';
import type { ToldRequest, ToldResult } from '../../threads/told-request.js';

/** What a worker knows from its beginning. */
export interface WorkerSettings {
  readonly sessionLimits: SessionLimits;
}

/** What is done by the thread that has the volume. */
export type BackendCall =
  | {
      readonly act: 'create' | 'allocatedBytes' | 'delete';
      readonly backend: string;
      readonly volume: VolumeIdentity;
      readonly folder: string;
    }
  | {
      readonly act: 'open';
      readonly backend: string;
      readonly volume: VolumeIdentity;
      readonly folder: string;
      readonly deviceId: number;
    }
  | { readonly act: 'resize'; readonly deviceId: number; readonly sizeBytes: number }
  | { readonly act: 'close'; readonly deviceId: number };

/** Of `open` and `resize`: the device's facts then; of `allocatedBytes`: bytes. */
export interface CallAnswer {
  readonly facts?: DeviceFacts | undefined;
  readonly bytes?: number;
  readonly error?: ToldError;
}

export type ToWorker =
  | { readonly kind: 'listens'; readonly place: CallPlace; readonly tls?: SecureContextOptions }
  /** Other files are in force. */
  | { readonly kind: 'tls'; readonly tls: SecureContextOptions }
  | {
      readonly kind: 'connection';
      readonly connectionId: number;
      readonly fd: number;
      readonly first: Uint8Array<ArrayBuffer>;
      readonly lane: number;
    }
  | { readonly kind: 'cut'; readonly connectionId: number }
  | { readonly kind: 'cut-all' }
  | {
      readonly kind: 'admitted';
      readonly sessionId: number;
      readonly deviceId: number;
      readonly volume: VolumeMessage;
      readonly writeVerifier: bigint;
    }
  | { readonly kind: 'end' | 'drain'; readonly sessionId: number; readonly reason: ToldError }
  | { readonly kind: 'resized'; readonly sessionId: number; readonly sizeBytes: number }
  | { readonly kind: 'call'; readonly callId: number; readonly call: BackendCall }
  | { readonly kind: 'submit'; readonly deviceId: number; readonly request: ToldRequest }
  /** For a sign of life, which is `alive`. */
  | { readonly kind: 'ask' }
  | { readonly kind: 'stop' };

export type FromWorker =
  | { readonly kind: 'alive' }
  | { readonly kind: 'secured'; readonly remote: RemoteEnd }
  | { readonly kind: 'called'; readonly remote: RemoteEnd; readonly windows: WindowSizes }
  | { readonly kind: 'closed'; readonly connectionId: number }
  /** A stream that has not said yet what it wants; `gone` ends it, whatever comes of it. */
  | { readonly kind: 'stream'; readonly sessionId: number; readonly caller: Caller }
  | { readonly kind: 'open'; readonly sessionId: number; readonly open: OpenFrame }
  /** It executes nothing more, and its device has completed everything that it was given. */
  | { readonly kind: 'gone'; readonly sessionId: number }
  | { readonly kind: 'flush-failed'; readonly deviceId: number; readonly error: ToldError }
  | { readonly kind: 'answer'; readonly callId: number; readonly answer: CallAnswer }
  | { readonly kind: 'completed'; readonly result: ToldResult }
  | {
      readonly kind: 'log';
      readonly level: 'info' | 'warn';
      readonly fields: object;
      readonly message: string;
    }
  | {
      readonly kind: 'warning';
      readonly key: string;
      readonly fields: WarningFields;
      readonly sentence: string;
    };

export type Post<Message> = (message: Message, transfer?: ArrayBuffer[]) => void;
