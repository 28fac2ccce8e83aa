/** A client in plain text goes from the handshake here to its session in the thread of its volume. */
import type { Socket } from 'node:net';
import type { HandshakeOutcome } from 'nbd-server-helpers';
import { doubledDescriptor } from '../runtime/doubled-descriptor.js';
import type { ServedClient } from './client-session.js';
import type { HandedClientEvents, SessionHost } from './session-host.js';

/** What a handshake ends with when a client has chosen an export. */
export type Transmission = Extract<HandshakeOutcome, { kind: 'transmission' }>;

/**
 * @param socket nobody listens to it any more; closed here, where its connection goes on in another thread
 * @returns undefined if it cannot be handed over: the client has not taken what it was sent, or no descriptor is free
 */
export function handOver(
  socket: Socket,
  { session, leftover }: Transmission,
  host: SessionHost,
  events: HandedClientEvents,
): ServedClient | undefined {
  const isOfUnix = isUnix(socket);
  socket.pause();
  const fd = doubledDescriptor(socket);
  if (fd === undefined) return undefined;
  socket.on('error', () => undefined);
  socket.destroy();
  const { replyKind, extendedHeaders, metaContexts } = session;
  const agreed = { replyKind, extendedHeaders, metaContexts };
  // In memory of its own: a view would take all that lies around it to the other thread.
  const given = { fd, leftover: new Uint8Array(leftover), agreed, isUnix: isOfUnix };
  return host.serveClient(given, events);
}

export function isUnix(socket: Socket): boolean {
  return socket.remoteFamily === undefined;
}
