/**
 * TLS of a gRPC client: grpc-js's own, with three differences. Each connection uses the files that are in
 * force when it is made; a server is believed after its certificate and its name were judged here, so that the
 * reason can be told; and a connection counts only when the server has said something, because in TLS 1.3 it
 * judges our certificate after we think that all is well.
 *
 * The base class's members with an underscore are the ones that grpc-js asks its credentials for;
 * test/integration/tls.test.ts fails if an upgrade asks for others.
 */
import net from 'node:net';
import tls from 'node:tls';
import { CallCredentials, ChannelCredentials, type experimental } from '@grpc/grpc-js';
import type { TlsMaterial } from '../security/tls-material.js';
import {
  dialFailure,
  presentedBy,
  refusedOwn,
  unbelievable,
  wrongName,
  type TlsEnds,
} from '../security/tls-failure.js';

/** Longer than any network's round trips; a silent port must not hold a call's whole deadline. */
const HANDSHAKE_TIMEOUT_MS = 5000;

const WRONG_NAME = 'ERR_TLS_CERT_ALTNAME_INVALID';

/** Around a sentence in what gRPC reports, so that it is found again there (`tlsSentenceIn`). */
const OPENING = 'tls<';
const CLOSING = '>tls';

/** @returns the sentence of a failed TLS connection in gRPC's text about a failed call, or undefined */
export function tlsSentenceIn(text: string): string | undefined {
  const from = text.indexOf(OPENING);
  const to = text.indexOf(CLOSING, from);
  return from === -1 || to === -1 ? undefined : text.slice(from + OPENING.length, to);
}

export class TlsChannelCredentials extends ChannelCredentials {
  /**
   * @param address host:port
   * @param who as in "node": what answers there
   */
  constructor(
    readonly material: TlsMaterial,
    readonly address: string,
    readonly who: string,
  ) {
    super();
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return other === this;
  }

  override _createSecureConnector(
    _target: unknown,
    _options: unknown,
    callCredentials?: CallCredentials,
  ): experimental.SecureConnector {
    return {
      connect: (socket) => this.#connect(socket),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials ?? CallCredentials.createEmpty(),
      destroy: () => undefined,
    };
  }

  async #connect(socket: net.Socket): Promise<experimental.SecureConnectResult> {
    const { material, address, who } = this;
    return { socket: await secure(socket, { material, address, who }, ['h2']), secure: true };
  }
}

export interface TlsDial {
  readonly material: TlsMaterial;
  /** host:port */
  readonly address: string;
  /** As in "node": what answers there. */
  readonly who: string;
}

/**
 * A connection as TLS, when its server was believed and has said something.
 * Rejects with an Error whose sentence `tlsSentenceIn` finds; the socket is then destroyed.
 */
export async function secure(
  socket: net.Socket,
  { material, address, who }: TlsDial,
  protocols: string[],
): Promise<tls.TLSSocket> {
  const { secureContext, facts: own } = material.current;
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  const secured = tls.connect({
    socket,
    secureContext,
    // The name or address that the certificate must be for.
    host,
    ALPNProtocols: protocols,
    // Judged in `judge`, before anything is said, so that the certificate can be named in the reason.
    rejectUnauthorized: false,
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
  });
  const ends = { peer: `${who} ${address}`, own, nowMs: Date.now() };
  try {
    await untilHeard(secured, ends, () => judge(secured, host, ends));
  } catch (error) {
    secured.destroy();
    throw error;
  }
  return secured;
}

/** @returns why the server is not believed, or undefined */
function judge(socket: tls.TLSSocket, host: string, { peer, nowMs }: TlsEnds): string | undefined {
  if (socket.authorized) return undefined;
  // The types say Error; it is OpenSSL's or Node's name of the reason.
  const code = String(socket.authorizationError);
  const facts = presentedBy(socket);
  return code === WRONG_NAME
    ? wrongName(host, peer, facts)
    : unbelievable(code, peer, facts, 'server', nowMs);
}

/** Until the handshake is over, the server believed, and its first bytes there, which stay in the socket. */
function untilHeard(
  socket: tls.TLSSocket,
  ends: TlsEnds,
  judged: () => string | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let believed = false;
    let reported: Error | undefined;
    const fail = (sentence: string): void => {
      settle();
      // A late error of a socket that was given up interests nobody.
      socket.on('error', () => undefined);
      reject(new Error(`${OPENING}${sentence}${CLOSING}`));
    };
    const onSecure = (): void => {
      let sentence: string | undefined;
      try {
        sentence = judged();
      } catch (error) {
        sentence = `the certificate of ${ends.peer} cannot be read: ${(error as Error).message}`;
      }
      if (sentence !== undefined) {
        fail(sentence);
        return;
      }
      believed = true;
      socket.on('readable', onReadable);
    };
    const onReadable = (): void => {
      if (socket.readableLength === 0) {
        // The end, which is told only to whoever reads.
        socket.read();
        return;
      }
      settle();
      resolve();
    };
    const onError = (error: Error): void => {
      reported = error;
    };
    const onClose = (): void => {
      const isAlert = /_ALERT_/.test((reported as NodeJS.ErrnoException | undefined)?.code ?? '');
      fail(
        believed && !isAlert
          ? refusedOwn(ends.peer, ends.own, ends.nowMs)
          : dialFailure(reported, ends),
      );
    };
    const timer = setTimeout(() => {
      fail(
        `${ends.peer} did not finish the TLS handshake within ${HANDSHAKE_TIMEOUT_MS} ms; does it speak TLS?`,
      );
    }, HANDSHAKE_TIMEOUT_MS);
    const settle = (): void => {
      clearTimeout(timer);
      socket.removeListener('secureConnect', onSecure);
      socket.removeListener('readable', onReadable);
      socket.removeListener('error', onError);
      socket.removeListener('end', onClose);
      socket.removeListener('close', onClose);
    };
    socket.once('secureConnect', onSecure);
    socket.on('error', onError);
    socket.once('end', onClose);
    socket.once('close', onClose);
  });
}
