/**
 * Accepts TLS connections for a gRPC server: only clients that present a certificate of the authority get in,
 * the others are logged with the reason. New connections use the files that are in force.
 */
import tls from 'node:tls';
import type { Warnings } from '../runtime/repeated-warnings.js';
import { acceptFailure, presentedBy, unbelievable } from '../security/tls-failure.js';
import type { TlsIdentity } from '../security/tls-material.js';

/** Longer than any network's round trips; whoever says nothing is disconnected then. */
export const TLS_HANDSHAKE_TIMEOUT_MS = 10_000;

export interface TlsEvents {
  /** A client that was believed. */
  readonly secured: (socket: tls.TLSSocket) => void;
  /** Gets those that were not. */
  readonly refusals: Warnings;
}

/** The files in force, as a server needs them. TlsMaterial is one; workers are told of theirs. */
export interface ServerMaterial {
  readonly current: Pick<TlsIdentity, 'contextOptions'>;
  onReplaced(listener: (identity: Pick<TlsIdentity, 'contextOptions'>) => void): () => void;
}

/** Connections that somebody else accepted are put in by `emit('connection', socket)`, as Node lets one. */
export function createTlsAcceptor(
  material: ServerMaterial,
  protocols: string[],
  events: TlsEvents,
): tls.Server {
  const server = tls.createServer({
    ...material.current.contextOptions,
    ALPNProtocols: protocols,
    handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS,
    noDelay: true,
    requestCert: true,
    // Judged below, before anything is read: Node would close without a word about whose certificate it was.
    rejectUnauthorized: false,
  });
  server.on('secureConnection', (socket) => {
    const sentence = refusalOrBug(socket);
    if (sentence === undefined) {
      events.secured(socket);
      return;
    }
    logRefusal(events.refusals, socket, sentence);
    socket.on('error', () => undefined);
    socket.destroy();
  });
  server.on('tlsClientError', (error, socket) => {
    logRefusal(events.refusals, socket, acceptFailure(error, peerOf(socket)));
    socket.destroy();
  });
  const forget = material.onReplaced(({ contextOptions }) => {
    server.setSecureContext(contextOptions);
  });
  server.once('close', forget);
  return server;
}

/** A stranger's certificate that we stumble over must cost the stranger's connection and nothing else. */
function refusalOrBug(socket: tls.TLSSocket): string | undefined {
  try {
    return refusalOf(socket);
  } catch (error) {
    return `the certificate of ${peerOf(socket)} cannot be read: ${(error as Error).message}`;
  }
}

/**
 * Without a certificate nobody gets in, whatever `authorized` says: Node calls a resumed TLS 1.3 session
 * authorized that never had one. (Nothing is resumed here: see tls-material.ts.)
 */
function refusalOf(socket: tls.TLSSocket): string | undefined {
  const facts = presentedBy(socket);
  if (facts !== undefined && socket.authorized) return undefined;
  const code = String(socket.authorizationError);
  return unbelievable(code, peerOf(socket), facts, 'client', Date.now());
}

/** Whoever is refused tries again at once, from another port. */
function logRefusal(refusals: Warnings, socket: tls.TLSSocket, sentence: string): void {
  const peer = peerOf(socket);
  const key = `${socket.remoteAddress ?? ''} ${sentence.replace(peer, '')}`;
  refusals.warn(key, { event: 'tls_refused', peer }, sentence);
}

function peerOf({ remoteAddress, remotePort }: tls.TLSSocket): string {
  return remoteAddress === undefined
    ? 'a client that is gone'
    : `client ${remoteAddress}:${remotePort ?? 0}`;
}
