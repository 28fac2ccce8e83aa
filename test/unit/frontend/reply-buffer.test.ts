/** Replies of one turn leave together, in order, whatever their sizes. */
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { ReplyBuffer } from '#daemon/frontend/reply-buffer.js';

function collect(): { socket: PassThrough; bytes: () => Buffer; writes: Buffer[] } {
  const socket = new PassThrough({ highWaterMark: 64 * 1024 * 1024 });
  const writes: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => writes.push(chunk));
  return { socket, writes, bytes: () => Buffer.concat(writes) };
}

function put(replies: ReplyBuffer, fill: number, lengthBytes: number): void {
  const slab = replies.reserve(lengthBytes);
  slab.fill(fill, replies.position, replies.position + lengthBytes);
  replies.advance(replies.position + lengthBytes);
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('ReplyBuffer', () => {
  it('keeps the order of headers, small data and large data', async () => {
    const { socket, bytes } = collect();
    const replies = new ReplyBuffer(socket);
    put(replies, 1, 16);
    replies.push(Buffer.alloc(100, 2));
    put(replies, 3, 16);
    replies.push(Buffer.alloc(100_000, 4));
    put(replies, 5, 16);
    replies.flush();
    await settle();
    const expected = [
      [1, 16],
      [2, 100],
      [3, 16],
      [4, 100_000],
      [5, 16],
    ].map(([fill, length]) => Buffer.alloc(length ?? 0, fill));
    assert.deepEqual(bytes(), Buffer.concat(expected));
  });

  it('writes small replies of one turn at once', async () => {
    const { socket, writes } = collect();
    const replies = new ReplyBuffer(socket);
    for (let index = 0; index < 64; index += 1) put(replies, index, 16);
    replies.flush();
    await settle();
    assert.deepEqual(
      writes.map(({ length }) => length),
      [1024],
    );
  });

  it('does not overwrite what the socket has not sent yet', async () => {
    const { socket, bytes } = collect();
    const replies = new ReplyBuffer(socket);
    for (let turn = 0; turn < 200; turn += 1) {
      put(replies, turn, 4096);
      replies.flush();
    }
    await settle();
    const expected = Array.from({ length: 200 }, (_, turn) => Buffer.alloc(4096, turn));
    assert.deepEqual(bytes(), Buffer.concat(expected));
  });
});
