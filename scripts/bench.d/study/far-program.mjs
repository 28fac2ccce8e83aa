#!/usr/bin/env node
/**
 * The far end of a way: answers requests from memory. Reads get the same bytes each time, writes are dropped, so that
 * nothing is measured but what is between.
 *
 * usage: node far-program.mjs KIND [CERTIFICATES]   ends with whoever started it
 */
import net from 'node:net';
import tls from 'node:tls';
import { Server } from '@grpc/grpc-js';
import { DONE, NO_EXTENTS } from '#daemon/block/block-request.js';
import { serverOptions } from '#daemon/rpc/channel-options.js';
import { areLarge } from '#daemon/rpc/http2-window.js';
import { listen } from '#daemon/rpc/server-listener.js';
import { STORAGE_SERVICE, withReadableRefusals } from '#daemon/rpc/service-definition.js';
import { decodeClientPieces, encodeNodeFrame } from '#daemon/rpc/storage-frame.js';
import { BareStream } from './bare-stream.mjs';
import { loadMaterial } from './certificates.mjs';

/** As in node-session.ts, which begins another frame of replies from there. */
const REPLY_FRAME_BYTES_MAX = 512 * 1024;

const MEMORY = Buffer.alloc(2 ** 20, 0xa5);
/** By length, so that no reply costs a view of its own. */
const payloads = new Map();

function serve(stream) {
  stream.on('data', (frame) => {
    if (frame instanceof Error) throw frame;
    answer(frame, (replies) => stream.write(replies, () => undefined));
  });
  // The near end is gone: so is this, when it is told.
  stream.on('error', () => undefined);
}

function answer({ sequences, requests }, send) {
  let from = 0;
  let results = [];
  let bytes = 0;
  for (const [index, request] of requests.entries()) {
    results.push(request.kind === 'read' ? read(request.lengthBytes) : DONE);
    bytes += request.kind === 'read' ? request.lengthBytes : 0;
    if (bytes < REPLY_FRAME_BYTES_MAX && index + 1 < requests.length) continue;
    const answered = sequences.slice(from, index + 1);
    send({ kind: 'replies', sequences: answered, results, writeVerifier: 0n });
    from = index + 1;
    results = [];
    bytes = 0;
  }
}

function read(lengthBytes) {
  let payload = payloads.get(lengthBytes);
  if (payload === undefined) {
    payload = [MEMORY.subarray(0, lengthBytes)];
    payloads.set(lengthBytes, payload);
  }
  return { error: undefined, payload, extents: NO_EXTENTS };
}

/** grpc-js, or our own connections beside it. Served by the other one, a session would be measured as what it is not. */
async function listenForGrpc(kind, material) {
  const misled = () => {
    throw new Error(`a session came to the wrong end; ${kind} was to serve it`);
  };
  const server = new Server(serverOptions());
  server.addService(withReadableRefusals(STORAGE_SERVICE), {
    OpenSession: kind === 'library' ? serve : misled,
  });
  const { address } = await listen(server, {
    ...{ address: '127.0.0.1:0', insecure: false, tls: material },
    ...(kind === 'ours' ? { onSession: serve } : {}),
    onWindows: (windows) => {
      if (!areLarge(windows)) throw new Error(`small windows: ${JSON.stringify(windows)}`);
    },
  });
  return address;
}

async function listenBare(material) {
  const codec = { encode: encodeNodeFrame, decode: decodeClientPieces };
  const accept = (socket) => serve(new BareStream(socket, codec));
  const server =
    material === undefined
      ? net.createServer({ noDelay: true }, accept)
      : tls.createServer(
          { ...material.current.contextOptions, noDelay: true, requestCert: true },
          accept,
        );
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${server.address().port}`;
}

const [kind, certificates] = process.argv.slice(2);
const material = loadMaterial(certificates);
process.once('disconnect', () => process.exit());
const address = await (kind === 'bare' ? listenBare(material) : listenForGrpc(kind, material));
process.stdout.write(`ready: ${address}\n`);
