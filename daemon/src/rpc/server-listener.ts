/**
 * Where a gRPC server is reached: a TCP port or a unix socket that is ours, whose connections are given to
 * grpc-js. Ours, because then the HTTP/2 windows can be set (http2-window.ts), no connection comes to a
 * standstill (read-keeper.ts), a socket file left by a dead process can be told from one that is served, and
 * accepting can end before the calls do.
 */
import { lstat, unlink } from 'node:fs/promises';
import net from 'node:net';
import { ServerCredentials, type Server } from '@grpc/grpc-js';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import type { PlaceLimits } from '../runtime/connection-places.js';
import { RepeatedWarnings } from '../runtime/repeated-warnings.js';
import type { TlsMaterial } from '../security/tls-material.js';
import { serverMaterial, type Protection } from './credentials.js';
import { giveConnection, type ConnectionTaker } from './given-connection.js';
import { createWideInjector, type WindowSizes } from './http2-window.js';
import { addressProblem } from './node-address.js';
import { ReadKeeper } from './read-keeper.js';
import type { ServedCall } from './served-session.js';
import { DEFAULT_PLACES, ServerDoor, type RemoteEnd } from './server-door.js';
import { SessionDoor } from './session-door.js';
import { StorageError } from './storage-error.js';
import { createTlsAcceptor } from './tls-acceptor.js';

export interface ServerListener {
  /** As given, with the port that was really taken. */
  readonly address: string;
  /** Whether its connections are TLS, with certificates on both sides. */
  readonly isTls: boolean;
  /** No further connections. Those there stay. Idempotent. */
  stopAccepting(): void;
  /** Cuts the connections of sessions, which grpc-js knows nothing of. */
  cutSessions(): void;
}

export interface ListenOptions extends Protection {
  /** `host:port` (port 0 takes a free one) or `unix:/path`. */
  readonly address: string;
  /** Is told who was not let in; absent: nobody is. */
  readonly refusals?: RepeatedWarnings;
  /** How many connections there may be; by default DEFAULT_PLACES. */
  readonly places?: PlaceLimits | undefined;
  /** Called for each connection, with its first call: the flow-control windows in force. */
  readonly onWindows: (windows: WindowSizes) => void;
  /** Serves sessions that come with a connection of their own; absent: there are none. */
  readonly onSession?: (call: ServedCall) => void;
  /** Takes the connections of sessions that say their lane; absent: they are served like all others. */
  readonly taker?: ConnectionTaker | undefined;
}

/** @throws StorageError 'invalid', 'denied' (plain text), 'refused' (in use) or 'unavailable' */
export async function listen(server: Server, options: ListenOptions): Promise<ServerListener> {
  const { address, onWindows } = options;
  const problem = addressProblem(address);
  if (problem !== undefined) throw new StorageError('invalid', problem);
  const material = serverMaterial(address, options);
  // TLS ends before grpc-js: its sockets are then like any others, and files can be replaced meanwhile.
  const refusals =
    options.refusals ?? new RepeatedWarnings({ warn: () => undefined }, SYSTEM_CLOCK);
  const firstAct = material === undefined ? 'made a call' : 'shown a certificate';
  const door = new ServerDoor(options.places ?? DEFAULT_PLACES, firstAct, refusals);
  const injector = createWideInjector(
    server,
    ServerCredentials.createInsecure(),
    (windows, remote) => {
      door.identified(remote);
      onWindows(windows);
    },
  );
  const keeper = new ReadKeeper(SYSTEM_CLOCK);
  const { taker } = options;
  const isTls = material !== undefined;
  const identified = (remote: RemoteEnd): void => {
    door.identified(remote);
  };
  const sessions = new SessionDoor({
    clock: SYSTEM_CLOCK,
    giveAway: givingTo(taker, door),
    onSession: options.onSession,
    called: (call) => {
      door.identified(call.socket);
      onWindows(call.connection.windows);
    },
    moved: (from, to) => {
      door.moved(from, to);
    },
  });
  const acceptor =
    material === undefined
      ? net.createServer({ noDelay: true }, (socket) => {
          if (!door.admit(socket)) return;
          sessions.sort(socket, () => {
            keeper.keep(socket);
            injector.injectConnection(socket);
          });
        })
      : secureAcceptor(material, { door, sessions, keeper, refusals, injector });
  taker?.listens({ place: { address, isTls }, material, identified, onWindows });
  await (address.startsWith('unix:')
    ? listenAtPath(acceptor, address)
    : listenAtPort(acceptor, address));
  return {
    address: boundAddress(acceptor, address),
    isTls,
    stopAccepting: () => {
      acceptor.close();
    },
    cutSessions: () => {
      sessions.cut();
      taker?.cutAll();
    },
  };
}

function givingTo(
  taker: ConnectionTaker | undefined,
  door: ServerDoor,
): ((socket: net.Socket, first: Buffer, lane: number) => boolean) | undefined {
  if (taker === undefined) return undefined;
  return (socket, first, lane) => giveConnection(socket, { first, lane }, door, taker);
}

interface SecureRoom {
  readonly door: ServerDoor;
  readonly sessions: SessionDoor;
  readonly keeper: ReadKeeper;
  readonly refusals: RepeatedWarnings;
  /** Gets believed clients that are no session's. */
  readonly injector: ReturnType<typeof createWideInjector>;
}

function secureAcceptor(material: TlsMaterial, room: SecureRoom): net.Server {
  const { door, sessions, keeper, refusals, injector } = room;
  const secured = createTlsAcceptor(material, sessions.protocols, {
    secured: (socket) => {
      door.identified(socket);
      if (!sessions.take(socket)) injector.injectConnection(socket);
    },
    refusals,
  });
  const acceptor = net.createServer({ noDelay: true }, (socket) => {
    if (!door.admit(socket)) return;
    sessions.sortSecure(socket, () => {
      // The socket below TLS: it is the one whose kernel buffer fills.
      keeper.keep(socket);
      secured.emit('connection', socket);
    });
  });
  acceptor.once('close', () => secured.close());
  return acceptor;
}

async function listenAtPath(acceptor: net.Server, address: string): Promise<void> {
  const path = address.slice('unix:'.length);
  try {
    await bind(acceptor, { path });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cannotListen(address, error);
    if (!(await isAbandonedSocket(path))) throw cannotListen(address, error);
    await unlink(path);
    await bind(acceptor, { path }).catch((again: unknown) => {
      throw cannotListen(address, again);
    });
  }
}

async function listenAtPort(acceptor: net.Server, address: string): Promise<void> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  await bind(acceptor, { host, port: Number(address.slice(colon + 1)) }).catch((error: unknown) => {
    throw cannotListen(address, error);
  });
}

function bind(acceptor: net.Server, where: net.ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    acceptor.once('error', reject);
    acceptor.listen(where, () => {
      acceptor.removeListener('error', reject);
      resolve();
    });
  });
}

/** True for the socket that a process left behind when it died: nobody answers there any more. */
async function isAbandonedSocket(path: string): Promise<boolean> {
  // Connecting to an ordinary file is "refused" as well.
  if (!(await lstat(path)).isSocket()) return false;
  return new Promise((resolve) => {
    const probe = net.connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'ECONNREFUSED');
    });
  });
}

function cannotListen(address: string, cause: unknown): StorageError {
  const { code, message } = cause as NodeJS.ErrnoException;
  switch (code) {
    case 'EADDRINUSE':
      return new StorageError(
        'refused',
        `cannot listen at ${address}: it is in use; stop what is there or choose another address`,
        { cause },
      );
    case 'EACCES':
      return new StorageError(
        'denied',
        `cannot listen at ${address}: permission denied; choose a port above 1023 or a folder of yours`,
        { cause },
      );
    default:
      return new StorageError('unavailable', `cannot listen at ${address}: ${message}`, { cause });
  }
}

function boundAddress(acceptor: net.Server, address: string): string {
  const bound = acceptor.address();
  if (bound === null || typeof bound === 'string') return address;
  return `${address.slice(0, address.lastIndexOf(':'))}:${bound.port}`;
}
