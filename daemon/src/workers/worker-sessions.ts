/**
 * In a worker: the NBD sessions beside its volumes, of clients whose handshake was in the main thread and of the kernel's
 * devices. The main thread hears what becomes of them.
 */
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { PacedBlockDevice } from '../block/block-device.js';
import type { BlockError } from '../block/block-error.js';
import { REQUEST_BYTES_MAX } from '../block/device-facts.js';
import { ClientSession } from '../frontend/client-session.js';
import { KernelSocket } from '../frontend/kernel-socket.js';
import type { ReplyBudget } from '../frontend/reply-budget.js';
import type { HandedClient } from '../frontend/session-host.js';
import { slabSocket } from '../runtime/receive-slab.js';
import type { SessionNews } from './worker-messages.js';

export interface SessionSettings {
  /** Shared by all clients of the worker. */
  readonly budget: ReplyBudget;
  readonly idleTimeoutMs: number;
  /** Whether anybody wants to know of single requests that failed. */
  readonly tellsRequests: boolean;
}

/** What a client's session has to do with the others of its volume. */
export interface Neighbours {
  begun(): void;
  ended(): void;
  hasOthers(): boolean;
}

interface Session {
  stop(): Promise<void>;
  destroy(): void;
}

export class WorkerSessions {
  readonly #sessions = new Map<number, Session>();

  constructor(
    readonly settings: SessionSettings,
    readonly tell: (sessionId: number, news: SessionNews) => void,
  ) {}

  serveClient(
    sessionId: number,
    { fd, leftover, agreed, isUnix }: HandedClient,
    device: PacedBlockDevice,
    neighbours: Neighbours,
  ): void {
    const { budget, idleTimeoutMs } = this.settings;
    const socket = this.#socketOf(sessionId, fd);
    if (socket === undefined) return;
    const client = new ClientSession({
      socket,
      device,
      agreed,
      budget,
      payloadBytesMax: REQUEST_BYTES_MAX,
      hasOtherConnections: isUnix ? () => neighbours.hasOthers() : () => false,
      idleTimeoutMs,
      events: {
        failed: (reason) => {
          this.tell(sessionId, { news: 'failed', reason });
        },
        lost: (reason) => {
          this.tell(sessionId, { news: 'lost', reason });
        },
        requestFailed: this.#requestFailed(sessionId),
      },
    });
    neighbours.begun();
    this.#sessions.set(sessionId, client);
    socket.on('close', () => {
      neighbours.ended();
      client.abandon();
      this.#ended(sessionId, { news: 'closed', how: 'lost', reason: '' });
    });
    client.begin(Buffer.from(leftover.buffer));
  }

  serveKernel(sessionId: number, fd: number, device: PacedBlockDevice): void {
    const socket = new KernelSocket(fd, device, {
      closed: (how, reason) => {
        this.#ended(sessionId, { news: 'closed', how, reason });
      },
      requestFailed: this.#requestFailed(sessionId),
    });
    this.#sessions.set(sessionId, {
      stop: () => socket.stop(),
      destroy: () => void socket.destroy(),
    });
  }

  /** There is no such volume any more. */
  refuse(sessionId: number, fd: number): void {
    closeSync(fd);
    this.tell(sessionId, { news: 'closed', how: 'lost', reason: 'the volume was detached' });
  }

  /** Resolves also if it is gone. */
  async stop(sessionId: number): Promise<void> {
    await this.#sessions.get(sessionId)?.stop();
  }

  destroy(sessionId: number): void {
    this.#sessions.get(sessionId)?.destroy();
  }

  #socketOf(sessionId: number, fd: number): Socket | undefined {
    try {
      return slabSocket(fd, true);
    } catch (error) {
      closeSync(fd);
      const reason = `connection lost: ${(error as Error).message}`;
      this.tell(sessionId, { news: 'lost', reason });
      this.tell(sessionId, { news: 'closed', how: 'lost', reason });
      return undefined;
    }
  }

  #requestFailed(sessionId: number): (kind: string, error: BlockError) => void {
    if (!this.settings.tellsRequests) return () => undefined;
    return (kind, { errno, reason }) => {
      this.tell(sessionId, { news: 'request-failed', kind, errno, reason });
    };
  }

  #ended(sessionId: number, news: SessionNews): void {
    this.#sessions.delete(sessionId);
    this.tell(sessionId, news);
  }
}
