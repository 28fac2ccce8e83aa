/** What a node is made of and its limits: the settings of the whole room in one place. */
import type { Protection } from '../rpc/credentials.js';
import type { Clock } from '../runtime/clock.js';
import type { AuditLog } from '../runtime/audit-log.js';
import type { RepeatedWarnings } from '../runtime/repeated-warnings.js';
import type { AccessControl } from './access-control.js';
import type { Catalog } from './catalog.js';
import type { NodeSessionOptions, SessionLimits } from './node-session.js';

/** The part of a bunyan logger that is used. Every record has an `event`, in the past tense. */
export interface ServiceLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Protection is shown only; the listener is where it counts. */
export interface StorageServiceOptions extends Partial<Protection> {
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly leaseTimeoutMs: number;
  /** Name and version, for people. */
  readonly software: string;
  /** Chosen anew at every start of the node; never 0. */
  readonly writeVerifier: bigint;
  readonly sessionsMax: number;
  /** Of one certificate, or without TLS of one machine; by default as many as there may be. */
  readonly sessionsPerClientMax?: number;
  readonly sessionLimits: SessionLimits;
  /** As NodeSession's. */
  readonly defer?: NodeSessionOptions['defer'];
  /** Threads that the volumes are spread over, shown only; absent: one. */
  readonly workers?: number;
  readonly log: ServiceLog;
  /** Who was refused, of the listener too; absent: one of its own, over `log`. */
  readonly refusals?: RepeatedWarnings;
  /** Absent: everybody may do everything. */
  readonly access?: AccessControl;
  /** Absent: administrative acts are in the ordinary log only. */
  readonly audit?: AuditLog;
}
