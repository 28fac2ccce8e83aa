/** The near end's stream of frames, by kind of way: `write(frame)` and the event `data` (a decoded frame). */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { Client } from '@grpc/grpc-js';
import { CLIENT_OPTIONS } from '#daemon/rpc/channel-options.js';
import { clientCredentials } from '#daemon/rpc/credentials.js';
import { STORAGE_SERVICE } from '#daemon/rpc/service-definition.js';
import { SessionCall } from '#daemon/rpc/session-call.js';
import { sessionTarget } from '#daemon/rpc/session-dial.js';
import { decodeNodePieces, encodeClientFrame } from '#daemon/rpc/storage-frame.js';
import { BareStream } from './bare-stream.mjs';

const CONNECT = {
  library: connectLibrary,
  ours: (address, material) => new SessionCall(sessionTarget(protectionFor(address, material))),
  bare: connectBare,
};

/** @param address host:port @param material undefined: plain text */
export function connectNear(kind, address, material) {
  return CONNECT[kind](address, material);
}

function protectionFor(address, material) {
  return { address, insecure: false, tls: material };
}

function connectLibrary(address, material) {
  const credentials = clientCredentials(address, protectionFor(address, material), 'node');
  const { path, requestSerialize, responseDeserialize } = STORAGE_SERVICE.OpenSession;
  return new Client(address, credentials, CLIENT_OPTIONS).makeBidiStreamRequest(
    ...[path, requestSerialize, responseDeserialize],
  );
}

async function connectBare(address, material) {
  const [host, port] = address.split(':');
  const socket = net.connect({ host, port: Number(port), noDelay: true });
  await once(socket, 'connect');
  const codec = { encode: encodeClientFrame, decode: decodeNodePieces };
  if (material === undefined) return new BareStream(socket, codec);
  const secured = tls.connect({ socket, host, secureContext: material.current.secureContext });
  await once(secured, 'secureConnect');
  return new BareStream(secured, codec);
}
