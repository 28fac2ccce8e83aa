/** OpenSession with Node's own HTTP/2: a client that knows gRPC's five bytes, and nothing of our code for connections. */
import http2 from 'node:http2';
import type net from 'node:net';
import { after } from 'node:test';
import { decodeNodeFrame, encodeClientFrame } from '#daemon/rpc/storage-frame.js';
import type { ClientFrame, NodeFrame } from '#daemon/rpc/storage-messages.js';
import { bytesOf } from './frame-bytes.js';
import { grpcMessage } from './http2-frames.js';
import { until } from './served-node.js';

export const SESSION_PATH = '/blkferry.storage.v1.Storage/OpenSession';

/** storage.proto, "Connections". */
const MARKED: http2.Settings = { customSettings: { 0xfb1f: 1 } };

export class Http2Session {
  readonly session: http2.ClientHttp2Session;
  readonly stream: http2.ClientHttp2Stream;
  /** `:status`, then the names of the trailers, with their values. */
  readonly said: string[] = [];
  #received = Buffer.alloc(0);
  isClosed = false;
  error: Error | undefined;

  constructor(
    socket: net.Socket,
    options: { settings?: http2.Settings; headers?: http2.OutgoingHttpHeaders } = {},
  ) {
    this.session = http2.connect('http://localhost', {
      createConnection: () => socket,
      settings: options.settings ?? MARKED,
    });
    this.session.on('error', (error: Error) => (this.error = error));
    this.stream = this.session.request(
      {
        ':method': 'POST',
        ':path': SESSION_PATH,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...options.headers,
      },
      { endStream: false },
    );
    this.stream.on('response', (headers) => this.said.push(textOf(headers)));
    this.stream.on('trailers', (headers: http2.IncomingHttpHeaders) =>
      this.said.push(textOf(headers)),
    );
    this.stream.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
    this.stream.on('error', (error: Error) => (this.error = error));
    this.stream.on('close', () => (this.isClosed = true));
    after(() => {
      this.session.destroy();
    });
  }

  send(frame: ClientFrame): void {
    const message = encodeClientFrame(frame);
    this.stream.write(grpcMessage(Buffer.isBuffer(message) ? message : bytesOf(message)));
  }

  async next(): Promise<NodeFrame> {
    const isWhole = (): boolean =>
      this.#received.length >= 5 && this.#received.length >= 5 + this.#received.readUInt32BE(1);
    await until(() => isWhole() || this.isClosed);
    if (!isWhole()) throw new Error(`the stream ended: ${this.said.join(', ')}`);
    const end = 5 + this.#received.readUInt32BE(1);
    const frame = decodeNodeFrame(this.#received.subarray(5, end));
    this.#received = this.#received.subarray(end);
    return frame;
  }

  /** Waits for the status, then for the end of the stream. */
  async ended(): Promise<string[]> {
    await until(() => this.isClosed || this.said.some((one) => one.startsWith('grpc-status=')));
    this.stream.end();
    await until(() => this.isClosed);
    return this.said;
  }
}

function textOf(headers: http2.IncomingHttpHeaders): string {
  return ['grpc-status', 'grpc-message', ':status']
    .filter((name) => headers[name] !== undefined)
    .map((name) => `${name}=${String(headers[name])}`)
    .join(' ');
}
