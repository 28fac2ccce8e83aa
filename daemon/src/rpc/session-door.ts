/**
 * Tells connections of sessions from those that are grpc-js's, and keeps those that are there. Where sessions have lanes,
 * their connections are given to the threads that serve them.
 */
import type { Socket } from 'node:net';
import type tls from 'node:tls';
import { adopted } from '../runtime/adopted-socket.js';
import type { Clock } from '../runtime/clock.js';
import { ServedSession, type ServedCall } from './served-session.js';
import { SESSION_PROTOCOL, sortConnection, sortSecureConnection } from './session-mark.js';

export interface SessionDoorOptions {
  readonly clock: Clock;
  /** Absent: everything is grpc-js's. */
  readonly onSession: ((call: ServedCall) => void) | undefined;
  /** A client has said that it wants a session. */
  readonly called: (call: ServedSession) => void;
  /** The connection of one socket goes on through another. */
  readonly moved: (from: Socket, to: Socket) => void;
  /** Absent: all are served here. @returns whether the connection was given away; if not it is as it was */
  readonly giveAway?: ((socket: Socket, first: Buffer, lane: number) => boolean) | undefined;
}

export class SessionDoor {
  readonly #served = new Set<ServedSession>();

  constructor(readonly options: SessionDoorOptions) {}

  /** For ALPN, the preferred one first. */
  get protocols(): string[] {
    return this.options.onSession === undefined ? ['h2'] : [SESSION_PROTOCOL, 'h2'];
  }

  /** A plain connection, whose client has said nothing yet. */
  sort(socket: Socket, other: () => void): void {
    if (this.options.onSession === undefined) {
      other();
      return;
    }
    const session = (first: Buffer, lane: number | undefined): void => {
      if (this.#giveAway(socket, first, lane)) return;
      const own = adopted(socket);
      if (own !== socket) this.options.moved(socket, own);
      this.serve(own, first);
    };
    sortConnection(socket, this.options.clock, { session, other });
  }

  /** A connection on which TLS will be spoken. @param here it is not given away; everything that came is in the socket */
  sortSecure(socket: Socket, here: () => void): void {
    if (this.options.giveAway === undefined) {
      here();
      return;
    }
    const session = (first: Buffer, lane: number): void => {
      if (this.#giveAway(socket, first, lane)) return;
      socket.unshift(first);
      here();
    };
    sortSecureConnection(socket, this.options.clock, { session, other: here });
  }

  #giveAway(socket: Socket, first: Buffer, lane: number | undefined): boolean {
    return lane !== undefined && this.options.giveAway?.(socket, first, lane) === true;
  }

  /** A connection under TLS. @returns whether it is a session's */
  take(socket: tls.TLSSocket): boolean {
    if (this.options.onSession === undefined || socket.alpnProtocol !== SESSION_PROTOCOL)
      return false;
    this.serve(socket);
    return true;
  }

  cut(): void {
    for (const session of this.#served) session.destroy();
  }

  /** A session's. @param first what came before the socket was made */
  serve(socket: Socket, first?: Buffer): void {
    const { clock, onSession, called } = this.options;
    const session = new ServedSession(socket, {
      clock,
      called: (call) => {
        called(call);
        onSession?.(call);
      },
    });
    this.#served.add(session);
    socket.once('close', () => {
      this.#served.delete(session);
    });
    if (first !== undefined) session.connection.receive(first);
  }
}
