/**
 * Peers that mean no good, each keeping one connection open, again and again, until it is stopped: what a stranger can do
 * with nothing but a socket, what an NBD client can do that has been let in, and a gRPC client that sends nonsense.
 */
import net from 'node:net';
import { Client, Metadata, credentials } from '@grpc/grpc-js';
import { NBD_CMD, ClientHandshake, encodeRequestHeader } from 'nbd-server-helpers';
import { CLIENT_OPTIONS } from '#daemon/rpc/channel-options.js';

/** A peer that was thrown out comes back after this; one that was not does more. */
export const AGAIN_MS = 1000;

const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** Fixed newstyle, no zeroes; then the head of an option whose length never comes to an end. */
const NBD_BEGUN = Buffer.from('0000000349484156454f505400000006ffffff00', 'hex');
const MIB = 1024 * 1024;
const DEAF_READS = 64;

export type Door = { readonly path: string } | { readonly host: string; readonly port: number };

/** Anything that is stopped at the end. */
export interface Hostile {
  stop(): void;
}

/** What each kind sends at once, and then now and again; undefined: nothing. */
interface Bytes {
  readonly first?: Buffer;
  readonly then?: Buffer;
  readonly reads: boolean;
}

const STRANGERS: readonly Bytes[] = [
  { reads: true },
  { first: Buffer.alloc(1), then: Buffer.alloc(1), reads: true },
  { first: Buffer.alloc(64 * 1024, 0x5a), reads: true },
  { first: NBD_BEGUN, then: Buffer.alloc(1), reads: true },
  { first: HTTP2_PREFACE, then: Buffer.alloc(9), reads: false },
];

/** Silent, slow, loud, begun and never ended, deaf to HTTP/2: in turn. */
export function stranger(door: Door, index: number): Hostile {
  const { first, then, reads } = STRANGERS[index % STRANGERS.length] ?? { reads: true };
  return new HostileSocket(door, (socket) => {
    if (reads) socket.resume();
    if (first !== undefined) socket.write(first);
    if (then === undefined) return;
    const timer = setInterval(() => {
      socket.write(then);
    }, AGAIN_MS);
    socket.once('close', () => {
      clearInterval(timer);
    });
  });
}

/** Chooses an export as clients do, asks for 64 MiB, and reads no answer. */
export function deafReader(door: Door, exportName: string): Hostile {
  return new HostileSocket(door, (socket) => {
    const handshake = new ClientHandshake({
      ...{ exportName, purpose: 'go', replyKind: 'simple', metaContexts: [], tls: 'never' },
    });
    socket.on('data', (chunk: Buffer) => {
      const { send, outcome } = handshake.push(chunk);
      socket.write(send);
      if (outcome?.kind !== 'transmission') return;
      socket.removeAllListeners('data');
      socket.pause();
      for (let read = 0; read < DEAF_READS; read += 1) {
        const request = { command: NBD_CMD.READ, flags: 0, lengthBytes: MIB };
        socket.write(
          encodeRequestHeader(
            { ...request, cookieHigh: 0, cookieLow: read, offsetBytes: (read % 8) * MIB },
            false,
          ),
        );
      }
    });
  });
}

/** Calls methods of the node, one after the other, with bytes that are no message, and opens sessions with such. */
export function babbler(address: string): Hostile {
  const client = new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
  const junk = Buffer.alloc(64, 0xff);
  const raw = (bytes: Buffer): Buffer => bytes;
  let isStopped = false;
  const again = (): void => {
    if (isStopped) return;
    const timer = setTimeout(babble, AGAIN_MS / 4);
    timer.unref();
  };
  const babble = (): void => {
    if (isStopped) return;
    const stream = client.makeBidiStreamRequest(
      '/blkferry.storage.v1.Storage/OpenSession',
      raw,
      raw,
      new Metadata(),
    );
    stream.on('data', () => undefined);
    stream.on('error', () => undefined);
    stream.write(junk);
    client.makeUnaryRequest('/blkferry.storage.v1.Storage/GetVolume', raw, raw, junk, again);
  };
  babble();
  return {
    stop: () => {
      isStopped = true;
      client.close();
    },
  };
}

class HostileSocket implements Hostile {
  #socket: net.Socket | undefined;
  #isStopped = false;

  constructor(
    readonly door: Door,
    readonly begin: (socket: net.Socket) => void,
  ) {
    this.#attack();
  }

  stop(): void {
    this.#isStopped = true;
    this.#socket?.destroy();
  }

  #attack(): void {
    if (this.#isStopped) return;
    const socket = net.connect(this.door);
    this.#socket = socket;
    // Refused, cut, reset: that is what is wanted.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      const timer = setTimeout(() => {
        this.#attack();
      }, AGAIN_MS);
      timer.unref();
    });
    this.begin(socket);
  }
}
