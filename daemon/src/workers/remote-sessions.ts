/**
 * The main thread's end of the NBD sessions of one volume in a worker: clients are handed over, the kernel's sockets
 * too, and what becomes of them comes back as messages.
 */
import { BlockError } from '../block/block-error.js';
import type { ServedClient } from '../frontend/client-session.js';
import type { KernelSocketEvents, ServedSocket } from '../frontend/kernel-socket.js';
import type { HandedClient, HandedClientEvents, SessionHost } from '../frontend/session-host.js';
import type { Question, SessionNews, ToWorker } from './worker-messages.js';

/** The way to the worker. */
export interface SessionLine {
  post(message: ToWorker, transfer?: ArrayBuffer[]): void;
  /** Resolves when it was answered. */
  ask(question: Question): Promise<unknown>;
  /** @returns what the session is called; `hear` gets its news, `closed` as the last */
  begin(hear: (news: SessionNews) => void): number;
}

export class RemoteSessions implements SessionHost {
  constructor(
    readonly volumeId: number,
    readonly line: SessionLine,
  ) {}

  serveClient(client: HandedClient, events: HandedClientEvents): ServedClient {
    const { volumeId, line } = this;
    const sessionId = line.begin((news) => {
      switch (news.news) {
        case 'failed':
          events.failed(news.reason);
          return;
        case 'lost':
          events.lost(news.reason);
          return;
        case 'request-failed':
          events.requestFailed(news.kind, new BlockError(news.errno, news.reason));
          return;
        case 'closed':
          events.closed();
      }
    });
    line.post({ kind: 'client', volumeId, sessionId, client }, [client.leftover.buffer]);
    return {
      stop: () => this.#stop(sessionId),
      destroy: () => {
        line.post({ kind: 'destroy', sessionId });
      },
    };
  }

  serveKernel(fd: number, events: KernelSocketEvents): ServedSocket {
    const { volumeId, line } = this;
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const sessionId = line.begin((news) => {
      if (news.news === 'closed') {
        end();
        events.closed(news.how, news.reason);
      } else if (news.news === 'request-failed') {
        events.requestFailed(news.kind, new BlockError(news.errno, news.reason));
      }
    });
    line.post({ kind: 'kernel', volumeId, sessionId, fd });
    return {
      stop: () => this.#stop(sessionId),
      destroy: () => {
        line.post({ kind: 'destroy', sessionId });
        return ended;
      },
    };
  }

  clientsHere(by: 1 | -1): void {
    this.line.post({ kind: 'clients-there', volumeId: this.volumeId, by });
  }

  async settled(): Promise<void> {
    await this.line.ask({ of: 'settled' });
  }

  async #stop(sessionId: number): Promise<void> {
    await this.line.ask({ of: 'session-stop', sessionId });
  }
}
