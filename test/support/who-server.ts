/** Both ends of TLS in a test: a gRPC server of ours that answers one question, and clients that ask it. */
import tls from 'node:tls';
import { after } from 'node:test';
import { Client, Server } from '@grpc/grpc-js';
import { CLIENT_OPTIONS, serverOptions } from '#daemon/rpc/channel-options.js';
import { clientCredentials } from '#daemon/rpc/credentials.js';
import type { WindowSizes } from '#daemon/rpc/http2-window.js';
import { peerIdentity, type PeerIdentity } from '#daemon/rpc/peer-identity.js';
import type { PlaceLimits } from '#daemon/runtime/connection-places.js';
import { BACKGROUND_CLOCK } from '#daemon/runtime/clock.js';
import { RepeatedWarnings } from '#daemon/runtime/repeated-warnings.js';
import { listen } from '#daemon/rpc/server-listener.js';
import { TlsMaterial, type TlsFiles } from '#daemon/security/tls-material.js';

/** Asks: who am I? */
export const WHO_AM_I = '/blkferry.Test/WhoAmI';
/** For one call. */
export const CALL_TIMEOUT_MS = 20_000;

/** Messages here are bytes. */
export const raw = (bytes: Buffer): Buffer => bytes;

/** A server that answers one question: who asks? */
export class WhoServer {
  readonly windows: WindowSizes[] = [];
  readonly refusals: string[] = [];
  readonly server = new Server(serverOptions());
  address = '';
  isTls = false;

  static async at(
    address: string,
    files: TlsFiles | undefined,
    nowMs = Date.now(),
    places?: PlaceLimits,
  ): Promise<WhoServer> {
    const served = new WhoServer();
    served.server.addService(
      {
        WhoAmI: {
          path: WHO_AM_I,
          requestStream: false,
          responseStream: false,
          requestSerialize: raw,
          requestDeserialize: raw,
          responseSerialize: raw,
          responseDeserialize: raw,
        },
      },
      {
        WhoAmI: (
          call: Parameters<typeof peerIdentity>[0],
          reply: (error: null, bytes: Buffer) => void,
        ) => {
          reply(null, Buffer.from(JSON.stringify(peerIdentity(call, served))));
        },
      },
    );
    const listener = await listen(served.server, {
      address,
      insecure: false,
      places,
      tls: files === undefined ? undefined : TlsMaterial.load(files, nowMs),
      refusals: new RepeatedWarnings(
        { warn: (_fields, sentence) => served.refusals.push(sentence) },
        BACKGROUND_CLOCK,
      ),
      onWindows: (windows) => served.windows.push(windows),
    });
    after(() => {
      listener.stopAccepting();
      served.server.forceShutdown();
    });
    served.address = listener.address;
    served.isTls = listener.isTls;
    return served;
  }

  get port(): number {
    return Number(this.address.split(':').at(-1));
  }
}

/** What the server says of who calls with these files. */
export function whoAmI(
  address: string,
  files: TlsFiles | undefined,
  nowMs = Date.now(),
): Promise<PeerIdentity> {
  const material = files === undefined ? undefined : TlsMaterial.load(files, nowMs);
  const credentials = clientCredentials(address, { tls: material, insecure: false }, 'node');
  const client = new Client(address, credentials, CLIENT_OPTIONS);
  const deadline = Date.now() + CALL_TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(WHO_AM_I, raw, raw, Buffer.alloc(0), { deadline }, (error, reply) => {
      client.close();
      if (error === null) resolve(JSON.parse(String(reply)) as PeerIdentity);
      else reject(error);
    });
  });
}

/** A connection below gRPC, once the server has said something. */
export function connected(address: string, files: TlsFiles): Promise<tls.TLSSocket> {
  const [host = '', port = ''] = address.split(':');
  const { contextOptions } = TlsMaterial.load(files, Date.now()).current;
  const socket = tls.connect({
    ...contextOptions,
    host,
    port: Number(port),
    ALPNProtocols: ['h2'],
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    // The first bytes of the server: it has let us in.
    socket.once('data', () => {
      resolve(socket);
    });
  });
}
