/** What an NBD session is made of. */
import type { Socket } from 'node:net';
import type { NbdRequest, NegotiatedSession } from 'nbd-server-helpers';
import type { PacedBlockDevice } from '../block/block-device.js';
import type { BlockError } from '../block/block-error.js';
import type { NbdJob } from './nbd-job.js';

export interface NbdSessionOptions {
  readonly socket: Socket;
  readonly device: PacedBlockDevice;
  readonly agreed: Pick<NegotiatedSession, 'replyKind' | 'extendedHeaders' | 'metaContexts'>;
  /** Most bytes of one write's payload. */
  readonly payloadBytesMax: number;
  /** The client has gone, and requests of it that had waited for room are not executed. */
  readonly onDropped: (reason: string) => void;
  /** A request that failed for a reason that the client is not told in full. */
  readonly onRefused: (request: NbdRequest | NbdJob, error: BlockError) => void;
}
