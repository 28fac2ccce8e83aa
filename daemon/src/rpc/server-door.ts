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

export class ServerDoor {
  readonly #places: ConnectionPlaces<PlaceHolder>;
  /** Of TCP connections, by their other end. */
  readonly #holders = new Map<string, PlaceHolder>();

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
      this.#refuse(socket, refusal);
      return false;
    }
    const end = nameOf(socket);
    const holder: PlaceHolder = {
      giveWay: (reason) => {
        this.#refuse(socket, reason);
      },
    };
    this.#places.take(holder, peer);
    if (end === undefined) this.#places.identified(holder);
    else this.#holders.set(end, holder);
    socket.once('close', () => {
      this.#places.give(holder);
      if (end !== undefined) this.#holders.delete(end);
    });
    return true;
  }

  /** The client at this end of a connection has said what it wants. */
  identified(remote: RemoteEnd): void {
    const holder = this.#holders.get(nameOf(remote) ?? '');
    if (holder !== undefined) this.#places.identified(holder);
  }

  #refuse(socket: net.Socket, reason: string): void {
    const peer = socket.remoteAddress ?? 'on this machine';
    this.refusals.warn(
      `${peer} ${reason}`,
      { event: 'client_refused', peer, reason },
      `client ${peer}: ${reason}`,
    );
    socket.on('error', () => undefined);
    socket.destroy();
  }
}

/** @returns undefined for a unix socket, and for one that is gone already */
function nameOf({ remoteAddress, remotePort }: RemoteEnd): string | undefined {
  return remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort ?? 0}`;
}
