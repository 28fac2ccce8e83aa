/** What the pipeline of a volume's requests needs of its volume, and of a session that opens. */
import type { StorageError } from '../rpc/storage-error.js';
import type { Clock } from '../runtime/clock.js';
import type { Expectation } from './client-waits.js';
import type { InFlightLimits } from './in-flight.js';
import type { ReplayLog } from './replay-log.js';

export interface PipelineOptions {
  readonly limits: InFlightLimits;
  readonly replayLog: ReplayLog;
  /** Changes are answered when the replay log has them (write-cache.ts). */
  readonly writeCache: boolean;
  readonly clock: Clock;
  /** Is told when clients ask and are answered; absent: nobody is. */
  readonly expectation?: Expectation | undefined;
  /** Runs a callback later in the current turn of the event loop, after what was sent is on its way. */
  readonly defer: (callback: () => void) => void;
  /** An answered write is lost, or cannot be kept: nothing may go on. */
  readonly onLoss: (detail: string) => void;
  /** The session must not go on; what is needed of it goes over the next one. */
  readonly onBroken: (reason: StorageError) => void;
  /** Something was answered: there may be room, or nothing left. */
  readonly onProgress: () => void;
}

/** What a session said when it opened. */
export interface SessionTerms {
  readonly requestsInFlightMax: number;
  readonly bytesInFlightMax: number;
  readonly writeVerifier: bigint;
}
