/**
 * Who is at the door of a gRPC server: how many connections there may be, and what becomes of those that come and say
 * nothing. grpc-js takes what it is given, and has no limit for any of it.
 *
 * A client has said what it wants with its first call, or where there is TLS with its certificate. On unix sockets there
 * are no strangers: whoever can open one is trusted, and counts only in all.
 */
import type net from 'node:net';
import {
  ConnectionPlaces,
  type PlaceHolder,
  type PlaceLimits,
} from '../runtime/connection-places.js';
import type { RepeatedWarnings } from '../runtime/repeated-warnings.js';

/** Where no settings say otherwise. A daemon has one connection or a few, a command one. */
export const DEFAULT_PLACES: PlaceLimits = {
  connectionsMax: 1024,
  connectionsPerPeerMax: 256,
  handshakesMax: 128,
};

/** One end of a TCP connection; a socket, or what TLS or HTTP/2 made of it. */
export type RemoteEnd = Pick<net.Socket, 'remoteAddress' | 'remotePort'>;

/** What has a place: a connection, whatever socket it goes through. */
interface Seat extends PlaceHolder {
  /** Undefined while another thread has the connection. */
  socket: net.Socket | undefined;
  /** Closes the connection. */
  cut: () => void;
  readonly leave: () => void;
}

export class ServerDoor {
  readonly #places: ConnectionPlaces<PlaceHolder>;
  /** Of TCP connections, by their other end. */
  readonly #holders = new Map<string, PlaceHolder>();
  readonly #seats = new WeakMap<net.Socket, Seat>();

  /** @param firstAct what tells a client from a stranger: 'shown a certificate' */
  constructor(
    limits: PlaceLimits,
    firstAct: string,
    readonly refusals: RepeatedWarnings,
  ) {
    this.#places = new ConnectionPlaces(limits, { firstAct, settingsPrefix: '' });
  }

  /** Somebody connected. @returns false: the socket is destroyed */
  admit(socket: net.Socket): boolean {
    const { remoteAddress: peer } = socket;
    const refusal = this.#places.refusal(peer);
    if (refusal !== undefined) {
      this.#tell(peer, refusal);
      cut(socket);
      return false;
    }
    const end = nameOf(socket);
    const seat: Seat = {
      socket,
      cut: () => {
        if (seat.socket !== undefined) cut(seat.socket);
      },
      giveWay: (reason) => {
        this.#tell(peer, reason);
        seat.cut();
      },
      leave: () => {
        this.#places.give(seat);
        // Another connection may come from there already.
        if (end !== undefined && this.#holders.get(end) === seat) this.#holders.delete(end);
      },
    };
    this.#places.take(seat, peer);
    if (end === undefined) this.#places.identified(seat);
    else this.#holders.set(end, seat);
    this.#sit(seat, socket);
    return true;
  }

  /** The connection goes on through another socket (adopted-socket.ts). */
  moved(from: net.Socket, to: net.Socket): void {
    const seat = this.#seats.get(from);
    if (seat !== undefined) this.#sit(seat, to);
  }

  /** Another thread serves the connection from now on. @param cutThere closes it there @returns to be called when it is closed */
  givenAway(from: net.Socket, cutThere: () => void): () => void {
    const seat = this.#seats.get(from);
    if (seat === undefined) return () => undefined;
    seat.socket = undefined;
    seat.cut = cutThere;
    return seat.leave;
  }

  /** The client at this end of a connection has said what it wants. */
  identified(remote: RemoteEnd): void {
    const holder = this.#holders.get(nameOf(remote) ?? '');
    if (holder !== undefined) this.#places.identified(holder);
  }

  #sit(seat: Seat, socket: net.Socket): void {
    seat.socket = socket;
    this.#seats.set(socket, seat);
    socket.once('close', () => {
      if (seat.socket === socket) seat.leave();
    });
  }

  #tell(peer = 'on this machine', reason: string): void {
    this.refusals.warn(
      `${peer} ${reason}`,
      { event: 'client_refused', peer, reason },
      `client ${peer}: ${reason}`,
    );
  }
}

function cut(socket: net.Socket): void {
  socket.on('error', () => undefined);
  socket.destroy();
}

/** @returns undefined for a unix socket, and for one that is gone already */
function nameOf({ remoteAddress, remotePort }: RemoteEnd): string | undefined {
  return remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort ?? 0}`;
}
