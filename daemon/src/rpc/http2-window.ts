/**
 * Large flow-control windows on the server's side. grpc-js 1.14 has an option for the client's side
 * only (grpc-node pull request 3058 is open), and with the default of 64 KiB uploads run at a fifth of the
 * speed. So the HTTP/2 server that grpc-js makes for an injector of connections is given its settings
 * here: `createConnectionInjector` makes it before it returns, so nothing else can come between.
 *
 * Because a library's upgrade could take this away unseen, every connection reports the windows that are
 * really in force on both sides, and a test asks for them.
 */
import http2 from 'node:http2';
import type net from 'node:net';
import type { Server, ServerCredentials } from '@grpc/grpc-js';
import { FLOW_CONTROL_WINDOW_BYTES } from './channel-options.js';

export type ConnectionInjector = ReturnType<Server['createConnectionInjector']>;

/** Bytes that may be on their way, for one stream and for all streams of a connection together. */
export interface WindowSizes {
  readonly receiveStreamBytes: number;
  readonly receiveConnectionBytes: number;
  /** What the peer allows us. */
  readonly sendStreamBytes: number;
  readonly sendConnectionBytes: number;
}

export type OnWindows = (
  windows: WindowSizes,
  remote: Pick<net.Socket, 'remoteAddress' | 'remotePort'>,
) => void;

/** True if neither direction is held back by a small window. */
export function areLarge(windows: WindowSizes): boolean {
  return Object.values(windows).every((bytes: number) => bytes >= FLOW_CONTROL_WINDOW_BYTES / 2);
}

/**
 * An injector whose connections have windows of FLOW_CONTROL_WINDOW_BYTES.
 *
 * @param onWindows called once for each connection, with its first call and where it comes from
 * @throws Error when grpc-js does not make its HTTP/2 server as it did: then this file needs a look
 */
export function createWideInjector(
  server: Server,
  credentials: ServerCredentials,
  onWindows: OnWindows,
): ConnectionInjector {
  const original = http2.createServer;
  let made = 0;
  const createServer = (options: http2.ServerOptions): http2.Http2Server => {
    made += 1;
    const settings = { ...options.settings, initialWindowSize: FLOW_CONTROL_WINDOW_BYTES };
    const http2Server = original({ ...options, settings });
    http2Server.on('session', (session) => {
      widen(session, onWindows);
    });
    return http2Server;
  };
  Reflect.set(http2, 'createServer', createServer);
  try {
    const injector = server.createConnectionInjector(credentials);
    if (made !== 1) throw new Error('grpc-js makes its HTTP/2 server in another way than expected');
    return injector;
  } finally {
    Reflect.set(http2, 'createServer', original);
  }
}

function widen(session: http2.ServerHttp2Session, onWindows: OnWindows): void {
  // The window of each stream (a setting) is not enough: all streams share the connection's
  // (nodejs/node issue 31084).
  session.setLocalWindowSize(FLOW_CONTROL_WINDOW_BYTES);
  // With its first call a peer has sent its settings and, if it does so, has widened its connection.
  session.once('stream', () => {
    const windows = {
      receiveStreamBytes: session.localSettings.initialWindowSize ?? 0,
      receiveConnectionBytes: session.state.localWindowSize ?? 0,
      sendStreamBytes: session.remoteSettings.initialWindowSize ?? 0,
      sendConnectionBytes: session.state.remoteWindowSize ?? 0,
    };
    onWindows(windows, session.socket);
  });
}
