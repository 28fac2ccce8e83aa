/** The connections that a worker was given: plain ones and such on which TLS is to be spoken, all of sessions. */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type tls from 'node:tls';
import type { CallPlace } from '../../rpc/peer-identity.js';
import { ReadKeeper } from '../../rpc/read-keeper.js';
import type { RemoteEnd } from '../../rpc/server-door.js';
import type { ServedCall } from '../../rpc/served-session.js';
import { SessionDoor } from '../../rpc/session-door.js';
import { createTlsAcceptor } from '../../rpc/tls-acceptor.js';
import type { Clock } from '../../runtime/clock.js';
import { slabSocket } from '../../runtime/receive-slab.js';
import type { Warnings } from '../../runtime/repeated-warnings.js';
import { ToldMaterial } from './told-material.js';
import type { FromWorker, Post, ToWorker } from './worker-messages.js';

export interface WorkerConnectionsOptions {
  readonly clock: Clock;
  readonly refusals: Warnings;
  readonly post: Post<FromWorker>;
  /** Serves a session. */
  readonly onSession: (call: ServedCall, place: CallPlace) => void;
}

export class WorkerConnections {
  readonly #sockets = new Map<number, Socket>();
  readonly #door: SessionDoor;
  readonly #keeper: ReadKeeper;
  #place: CallPlace = { address: '', isTls: true };
  #secure: { readonly material: ToldMaterial; readonly acceptor: tls.Server } | undefined;

  constructor(readonly options: WorkerConnectionsOptions) {
    const { clock, post, onSession } = options;
    this.#keeper = new ReadKeeper(clock);
    this.#door = new SessionDoor({
      clock,
      onSession: (call) => {
        onSession(call, this.#place);
      },
      called: ({ socket, connection }) => {
        post({ kind: 'called', remote: endOf(socket), windows: connection.windows });
      },
      moved: () => undefined,
    });
  }

  /** Before the first of them. */
  listens({ place, tls: files }: Extract<ToWorker, { kind: 'listens' }>): void {
    this.#place = place;
    if (files === undefined) return;
    const { post, refusals } = this.options;
    const material = new ToldMaterial(files);
    const acceptor = createTlsAcceptor(material, this.#door.protocols, {
      secured: (socket) => {
        post({ kind: 'secured', remote: endOf(socket) });
        if (!this.#door.take(socket)) socket.destroy();
      },
      refusals,
    });
    this.#secure = { material, acceptor };
  }

  replaceTls(files: tls.SecureContextOptions): void {
    this.#secure?.material.replace(files);
  }

  take({ connectionId, fd, first }: Extract<ToWorker, { kind: 'connection' }>): void {
    let socket: Socket;
    try {
      socket = this.#secure === undefined ? slabSocket(fd, false) : plainSocket(fd);
    } catch {
      closeSync(fd);
      this.options.post({ kind: 'closed', connectionId });
      return;
    }
    this.#sockets.set(connectionId, socket);
    socket.once('close', () => {
      this.#sockets.delete(connectionId);
      this.options.post({ kind: 'closed', connectionId });
    });
    const bytes = Buffer.from(first.buffer);
    if (this.#secure === undefined) {
      this.#door.serve(socket, bytes);
      return;
    }
    socket.unshift(bytes);
    this.#keeper.keep(socket);
    this.#secure.acceptor.emit('connection', socket);
  }

  cut(connectionId: number): void {
    const socket = this.#sockets.get(connectionId);
    if (socket !== undefined) destroy(socket);
  }

  cutAll(): void {
    this.#door.cut();
    for (const socket of [...this.#sockets.values()]) destroy(socket);
  }
}

/** TLS reads its socket by means of its own. */
function plainSocket(fd: number): Socket {
  return new Socket({ fd, readable: true, writable: true });
}

function destroy(socket: Socket): void {
  socket.on('error', () => undefined);
  socket.destroy();
}

function endOf({ remoteAddress, remotePort }: Socket): RemoteEnd {
  return { remoteAddress, remotePort };
}
