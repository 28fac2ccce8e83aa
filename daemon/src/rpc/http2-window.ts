/**
 * Large flow-control windows on the server's side. grpc-js 1.14 has an option for the client's side
 * only (grpc-node issue 3058), and without it uploads run at a fifth of the speed; so the HTTP/2 server
 * that grpc-js makes while it binds is caught as it is made. A test opens a connection and reads both
 * windows, so that an upgrade of grpc-js cannot take this away unseen.
 */
import http2 from 'node:http2';
import { FLOW_CONTROL_WINDOW_BYTES } from './channel-options.js';

type CreateServer = typeof http2.createServer;

/**
 * Runs `bind`, and gives every HTTP/2 server made meanwhile in this process windows of
 * FLOW_CONTROL_WINDOW_BYTES: for each stream, and for the whole connection.
 */
export async function withLargeWindows<Value>(bind: () => Promise<Value>): Promise<Value> {
  const original = http2.createServer;
  http2.createServer = ((options: http2.ServerOptions, ...rest: []) => {
    const settings = { ...options.settings, initialWindowSize: FLOW_CONTROL_WINDOW_BYTES };
    const server = original({ ...options, settings }, ...rest);
    // The stream's window alone is not enough (nodejs/node issue 31084).
    server.on('session', (session) => {
      session.setLocalWindowSize(FLOW_CONTROL_WINDOW_BYTES);
    });
    return server;
  }) as CreateServer;
  try {
    return await bind();
  } finally {
    http2.createServer = original;
  }
}
