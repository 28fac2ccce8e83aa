/** What an NBD session is made of. */
import type { Socket } from 'node:net';
import type { NbdRequest, NegotiatedSession } from 'nbd-server-helpers';
import type { PacedBlockDevice } from '../block/block-device.js';
import type { BlockError } from '../block/block-error.js';
import type { NbdJob } from './nbd-job.js';
import type { ReplyBudget } from './reply-budget.js';

export interface NbdSessionOptions {
  readonly socket: Socket;
  readonly device: PacedBlockDevice;
  readonly agreed: Pick<NegotiatedSession, 'replyKind' | 'extendedHeaders' | 'metaContexts'>;
  /** Shared with all other clients; absent: only the limit of one client counts. */
  readonly budget?: ReplyBudget | undefined;
  /** Most bytes of one write's payload. */
  readonly payloadBytesMax: number;
  /** What is read comes out of TLS, in pieces of 16 KiB at most: a short one says nothing about what follows. */
  readonly isEncrypted?: boolean;
  /**
   * Whether what a client has given up here can race with what it sends elsewhere. Not asked of TCP, which does not
   * tell a client that has gone from one that only sends nothing more.
   */
  readonly hasOtherConnections: () => boolean;
  /** The client has gone, and requests of it that were not taken in yet are not executed. */
  readonly onDropped: (reason: string) => void;
  /** A request that failed for a reason that the client is not told in full. */
  readonly onRefused: (request: NbdRequest | NbdJob, error: BlockError) => void;
}
