/** Both ends of a real connection, over a unix socket in a folder of the test's, and what comes of one of ours. */
import net from 'node:net';
import path from 'node:path';
import { after } from 'node:test';
import type { HeaderField } from '#daemon/http2/header-field.js';
import { SessionConnection } from '#daemon/rpc/session-connection.js';
import { temporaryFolder } from './temporary-folder.js';
import { until } from './served-node.js';

export interface SocketPair {
  /** The one that connected. */
  readonly near: net.Socket;
  readonly far: net.Socket;
}

/** Call it inside a suite. @returns what makes pairs, which are gone when the suite is */
export function socketPairs(): () => Promise<SocketPair> {
  const folder = temporaryFolder();
  const made: net.Socket[] = [];
  let count = 0;
  after(() => {
    for (const socket of made) socket.destroy();
  });
  return async () => {
    count += 1;
    const place = path.join(folder, `${count}.sock`);
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(place, resolve));
    const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
    const near = net.connect(place);
    const far = await accepted;
    server.close();
    for (const socket of [near, far]) socket.on('error', () => undefined);
    made.push(near, far);
    return { near, far };
  };
}

/** A connection of ours, and everything that it told, in order. */
export class HeardConnection {
  readonly connection: SessionConnection;
  /** `headers`, `trailers`, `message 5`, `ended`, `unreadable ...`, `failed ...`. */
  readonly heard: string[] = [];
  readonly messages: Buffer[] = [];
  readonly fields: (readonly HeaderField[])[] = [];
  bytes = 0;
  /** Besides keeping it. */
  onMessage: (message: Buffer) => void = () => undefined;

  constructor(
    readonly socket: net.Socket,
    role: 'client' | 'server',
  ) {
    this.connection = new SessionConnection(socket, role, {
      headers: (fields, isLast) => {
        this.fields.push(fields);
        this.heard.push(isLast ? 'trailers' : 'headers');
      },
      message: (pieces) => {
        const message = Buffer.concat(pieces);
        this.bytes += message.length;
        this.messages.push(message);
        this.heard.push(`message ${message.length}`);
        this.onMessage(message);
      },
      ended: () => this.heard.push('ended'),
      unreadable: ({ message }) => this.heard.push(`unreadable ${message}`),
      failed: ({ message }) => this.heard.push(`failed ${message}`),
    });
  }

  async untilHeard(what: RegExp): Promise<void> {
    await until(() => this.heard.some((one) => what.test(one)));
  }
}

/** All that a socket receives, as one buffer that grows. */
export function collected(socket: net.Socket): () => Buffer {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks);
}
