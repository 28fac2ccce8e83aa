/**
 * What the main thread and a worker say to each other, over one port in each direction: what was said first is heard
 * first, and several sentences of this room rely on that.
 *
 * Volumes, sessions, questions and requests are named by numbers. The main thread chooses them, but for the questions
 * of a worker.
 */
import type { AttachmentRecord } from '../admin/attachment-record.js';
import type { BlockErrno } from '../block/block-error.js';
import type { DeviceFacts } from '../block/device-facts.js';
import type { DaemonConfig } from '../config/daemon-config.js';
import type { HandedClient } from '../frontend/session-host.js';
import type { SocketEnd } from '../frontend/kernel-socket.js';
import type { TlsTold } from '../security/tls-material.js';
import type { VolumeAmounts } from '../volume/attached-volume.js';
import type { VolumeState } from '../volume/volume-state.js';
import type { ToldError } from '../threads/told-error.js';
import type { ToldRequest, ToldResult } from '../threads/told-request.js';

/** What a worker knows from its beginning. */
export interface WorkerSettings {
  readonly config: DaemonConfig;
  /** Its part of `nbd.reply_bytes_max`. */
  readonly replyBytesMax: number;
  /** Absent: no certificates. */
  readonly tls: TlsTold | undefined;
}

/** What is asked of a volume. */
export type VolumeAct =
  | { readonly act: 'start' | 'refresh' | 'fail-now' | 'retry-now' | 'close' }
  | {
      readonly act: 'drain';
      readonly deadlineMs: number;
      readonly until: 'deadline' | 'node-away';
    }
  /** It is gone afterwards. */
  | { readonly act: 'end'; readonly forget: boolean };

export type Question =
  | { readonly of: 'volume'; readonly volumeId: number; readonly act: VolumeAct }
  /** Answered when the session has stopped, or is gone. */
  | { readonly of: 'session-stop'; readonly sessionId: number }
  /** Answered when whatever has become of sessions by now was said. */
  | { readonly of: 'settled' };

export interface Answer {
  /** Of a volume, as they are with the answer. */
  readonly amounts?: VolumeAmounts;
  /** Of `fail-now`: how many requests failed by it. */
  readonly count?: number;
  readonly error?: ToldError;
}

export interface VolumeStatus {
  readonly state: VolumeState;
  /** Undefined: not known yet. */
  readonly facts: DeviceFacts | undefined;
  readonly generation: number;
}

export type ToWorker =
  | {
      readonly kind: 'open';
      readonly volumeId: number;
      readonly record: AttachmentRecord;
      readonly takeOver: boolean;
    }
  | { readonly kind: 'ask'; readonly questionId: number; readonly question: Question }
  | { readonly kind: 'resume'; readonly volumeId: number }
  | {
      readonly kind: 'submit';
      readonly volumeId: number;
      readonly requests: readonly ToldRequest[];
    }
  | {
      readonly kind: 'client';
      readonly volumeId: number;
      readonly sessionId: number;
      readonly client: HandedClient;
    }
  | {
      readonly kind: 'kernel';
      readonly volumeId: number;
      readonly sessionId: number;
      readonly fd: number;
    }
  | { readonly kind: 'destroy'; readonly sessionId: number }
  /** The main thread serves so many more clients of the volume. */
  | { readonly kind: 'clients-there'; readonly volumeId: number; readonly by: 1 | -1 }
  /** To `claiming`. */
  | { readonly kind: 'claimed'; readonly questionId: number; readonly error?: ToldError }
  /** Other files are in force. */
  | { readonly kind: 'tls'; readonly tls: TlsTold }
  | { readonly kind: 'stop' };

export type SessionNews =
  | { readonly news: 'failed' | 'lost'; readonly reason: string }
  | {
      readonly news: 'request-failed';
      readonly kind: string;
      readonly errno: BlockErrno;
      readonly reason: string;
    }
  /** The last of a session. `how` is a device's word. */
  | { readonly news: 'closed'; readonly how: SocketEnd; readonly reason: string };

export type FromWorker =
  | { readonly kind: 'answer'; readonly questionId: number; readonly answer: Answer }
  | { readonly kind: 'changed'; readonly volumeId: number; readonly status: VolumeStatus }
  /** May this lease be taken over? */
  | { readonly kind: 'claiming'; readonly volumeId: number; readonly questionId: number }
  | {
      readonly kind: 'completed';
      readonly volumeId: number;
      readonly results: readonly ToldResult[];
    }
  | { readonly kind: 'session'; readonly sessionId: number; readonly news: SessionNews }
  | {
      readonly kind: 'log';
      readonly level: 'info' | 'warn';
      readonly fields: object;
      readonly message: string;
    };

/** @param transfer what changes its thread with it */
export type Post<Message> = (message: Message, transfer?: ArrayBuffer[]) => void;
