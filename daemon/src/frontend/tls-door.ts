/**
 * TLS around an NBD connection that asked for it (NBD_OPT_STARTTLS): who is let in, and by which names it is known.
 * Certificates are judged by the authority in tls.ca, pre-shared keys by psk_file; what a client may open is
 * client-exports.ts.
 */
import { constants } from 'node:crypto';
import type net from 'node:net';
import tls from 'node:tls';
import { certificateFacts } from '../security/certificate.js';
import { acceptFailure, presentedBy, unbelievable } from '../security/tls-failure.js';
import type { TlsMaterial } from '../security/tls-material.js';

/** Pre-shared keys by the name that comes with one. */
export interface KeyTable {
  keyOf(identity: string): Buffer | undefined;
}

export interface TlsDoorOptions {
  /** The daemon's certificate and the authority of its clients; undefined: pre-shared keys only. */
  readonly material: TlsMaterial | undefined;
  /** Undefined: certificates only. */
  readonly preSharedKeys: KeyTable | undefined;
  /** For the handshake of TLS alone; that of NBD has its own, which began before. */
  readonly handshakeTimeoutMs: number;
}

/** What became of a connection: whoever holds it gets a socket and names, or a sentence. */
export type TlsOutcome =
  | { readonly socket: tls.TLSSocket; readonly names: readonly string[] }
  | { readonly refusal: string };

/**
 * The identity in a pre-shared key's name, and the subject of a certificate: certificates of libvirt and qemu have
 * no other name. Alternative names that look like one are dropped: a name must be had in one way only.
 */
const PSK_PREFIX = 'psk:';
const SUBJECT_PREFIX = 'dn:';

/** In sentences that stand behind the client's address. */
const PEER = 'the client';

/**
 * With pre-shared keys TLS 1.3 is asked for, whatever tls.min_version says: Node has no way to tell in TLS 1.2 that
 * a key was used, and OpenSSL's default list of ciphers for 1.2 is without them.
 */
const PSK_MIN_VERSION = 'TLSv1.3';
/** A pre-shared key without further words is for SHA-256, so that a cipher with SHA-384 would pass it over. */
const PSK_CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384';

export class TlsDoor {
  readonly #server: tls.Server;
  /** By both ends of the connection; an entry lives until TLS is up, or the connection is gone. */
  readonly #waiting = new Map<string, (outcome: TlsOutcome) => void>();
  /** The same key: what a client called itself that offered a pre-shared key. */
  readonly #identities = new Map<string, string>();
  readonly #forget: (() => void) | undefined;

  constructor(readonly options: TlsDoorOptions) {
    const { material, preSharedKeys, handshakeTimeoutMs } = options;
    // It never listens: connections are handed to it, as Node's documentation of 'connection' has it.
    this.#server = tls.createServer({
      ...this.#contextOptions(),
      handshakeTimeout: handshakeTimeoutMs,
      requestCert: material !== undefined,
      // Judged in #outcome, before anything is read: Node would close without a word about whose certificate it was.
      rejectUnauthorized: false,
      ...(preSharedKeys === undefined
        ? {}
        : {
            pskCallback: (socket: tls.TLSSocket, identity: string) => {
              this.#identities.set(endsOf(socket), identity);
              return preSharedKeys.keyOf(identity) ?? null;
            },
          }),
    });
    this.#server.on('secureConnection', (socket) => {
      if (!this.#settle(endsOf(socket), () => this.#outcome(socket))) socket.destroy();
    });
    this.#server.on('tlsClientError', (error, socket) => {
      const ends = endsOf(socket);
      if (!this.#settle(ends, () => ({ refusal: this.#failure(error, ends) }))) socket.destroy();
    });
    this.#forget = material?.onReplaced(() => {
      this.#server.setSecureContext(this.#contextOptions());
    });
  }

  /**
   * Begins TLS on a connection whose client was just told to. Nobody else may read the socket from now on.
   * @param settled called once, also if the connection is closed before
   */
  enter(socket: net.Socket, settled: (outcome: TlsOutcome) => void): void {
    const ends = endsOf(socket);
    this.#waiting.set(ends, settled);
    socket.once('close', () => {
      // Its addresses are gone with it: what is told of the TLS around it finds nobody any more.
      this.#settle(ends, () => ({
        refusal: this.#failure(new Error('it went away'), ends),
      }));
      this.#identities.delete(ends);
    });
    // Whoever goes in the midst of it waits for no answer.
    socket.allowHalfOpen = false;
    this.#server.emit('connection', socket);
  }

  /** Files that are read again do not concern it any more. */
  close(): void {
    this.#forget?.();
  }

  #contextOptions(): tls.SecureContextOptions {
    const { material, preSharedKeys } = this.options;
    const certificates = material?.current.contextOptions ?? {};
    if (preSharedKeys === undefined) return certificates;
    return {
      ...certificates,
      minVersion: PSK_MIN_VERSION,
      ciphers: PSK_CIPHERS,
      // No resumption, as in tls-material.ts: a resumed session would pass for one with a key.
      secureOptions: constants.SSL_OP_NO_TICKET,
    };
  }

  /** @returns false if nobody waits for it, or not any more */
  #settle(ends: string, judge: () => TlsOutcome): boolean {
    const settled = this.#waiting.get(ends);
    this.#waiting.delete(ends);
    settled?.(judge());
    return settled !== undefined;
  }

  #outcome(socket: tls.TLSSocket): TlsOutcome {
    const identity = this.#identities.get(endsOf(socket));
    // TLS 1.3 treats an external key as a session that goes on; sessions of our own making do not exist.
    if (this.#hasKey(identity) && socket.isSessionReused())
      return { socket, names: [`${PSK_PREFIX}${identity}`] };
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined || !socket.authorized) {
      const code = String(socket.authorizationError);
      const refusal = unbelievable(code, PEER, presentedBy(socket), 'client', Date.now());
      return { refusal };
    }
    const { names, subject } = certificateFacts(certificate);
    const honest = names.filter(
      (name) => !name.startsWith(PSK_PREFIX) && !name.startsWith(SUBJECT_PREFIX),
    );
    return { socket, names: [...honest, `${SUBJECT_PREFIX}${subject}`] };
  }

  #hasKey(identity: string | undefined): identity is string {
    return identity !== undefined && this.options.preSharedKeys?.keyOf(identity) !== undefined;
  }

  #failure(error: Error, ends: string): string {
    const identity = this.#identities.get(ends);
    if (identity !== undefined && !this.#hasKey(identity))
      return `${PEER} offers a pre-shared key as ${JSON.stringify(identity)}, which nbd.psk_file does not have`;
    if (identity !== undefined && error.message.includes('binder does not verify'))
      return `${PEER} has another pre-shared key for ${JSON.stringify(identity)} than nbd.psk_file`;
    return acceptFailure(error, PEER);
  }
}

/** An error of a connection on which TLS is up; most come at its beginning, when the client judges our certificate. */
export function tlsSentence(error: Error): string {
  return acceptFailure(error, PEER);
}

/** Of two sockets that live, only a socket and the TLS around it have the same. */
function endsOf(socket: net.Socket): string {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  return [localAddress, localPort, remoteAddress, remotePort].join(' ');
}
