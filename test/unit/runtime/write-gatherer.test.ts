/** Replies of one turn leave together, in order, whatever their sizes. */
import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { WriteGatherer } from '#daemon/runtime/write-gatherer.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const folder = temporaryFolder();

/** A real socket, because only that copies what it writes; and what its other end has received. */
async function collect(): Promise<{
  socket: net.Socket;
  received: (lengthBytes: number) => Promise<Buffer>;
}> {
  const server = net.createServer();
  await new Promise<void>((resolve) =>
    server.listen(path.join(folder, `${(sockets += 1)}.sock`), resolve),
  );
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  const socket = net.connect(server.address() as string);
  const other = await accepted;
  server.close();
  const chunks: Buffer[] = [];
  const received = async (lengthBytes: number): Promise<Buffer> => {
    for await (const chunk of other) {
      chunks.push(chunk as Buffer);
      if (Buffer.concat(chunks).length >= lengthBytes) break;
    }
    socket.destroy();
    return Buffer.concat(chunks);
  };
  return { socket, received };
}

let sockets = 0;

function put(replies: WriteGatherer, fill: number, lengthBytes: number): void {
  const slab = replies.reserve(lengthBytes);
  slab.fill(fill, replies.position, replies.position + lengthBytes);
  replies.advance(replies.position + lengthBytes);
}

describe('WriteGatherer', () => {
  it('keeps the order of headers, small data and large data', async () => {
    const { socket, received } = await collect();
    const replies = new WriteGatherer(socket);
    put(replies, 1, 16);
    replies.push(Buffer.alloc(100, 2));
    put(replies, 3, 16);
    replies.push(Buffer.alloc(100_000, 4));
    put(replies, 5, 16);
    replies.flush();
    const expected = [
      [1, 16],
      [2, 100],
      [3, 16],
      [4, 100_000],
      [5, 16],
    ].map(([fill, length]) => Buffer.alloc(length ?? 0, fill));
    const all = Buffer.concat(expected);
    assert.equal(Buffer.compare(await received(all.length), all), 0);
  });

  it('hands small replies of one turn to the socket in one write', async () => {
    const { socket, received } = await collect();
    let writes = 0;
    const write = socket.write.bind(socket);
    socket.write = (data: Buffer) => {
      writes += 1;
      return write(data);
    };
    const replies = new WriteGatherer(socket);
    for (let index = 0; index < 64; index += 1) put(replies, index, 16);
    replies.flush();
    assert.equal((await received(1024)).length, 1024);
    assert.equal(writes, 1);
  });

  it('does not overwrite what the socket has not sent yet', async () => {
    const { socket, received } = await collect();
    const replies = new WriteGatherer(socket);
    for (let turn = 0; turn < 200; turn += 1) {
      put(replies, turn, 4096);
      replies.flush();
    }
    const expected = Array.from({ length: 200 }, (_, turn) => Buffer.alloc(4096, turn));
    const all = Buffer.concat(expected);
    assert.equal(Buffer.compare(await received(all.length), all), 0);
  });
});
