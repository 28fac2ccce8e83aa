/** Where received bytes lie: side by side, and never on top of others. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it } from 'node:test';
import { ReceiveSlab, filledItsRoom, readIntoSlab } from '#daemon/runtime/receive-slab.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const KIB = 1024;

describe('ReceiveSlab', () => {
  it('lays what is received side by side, and leaves what is there as it is', () => {
    const slab = new ReceiveSlab();
    const views = Array.from({ length: 500 }, (_, index) => {
      slab.offer().fill(index, 0, 1000);
      return slab.take(1000);
    });
    assert.ok(views.every((view, index) => view.every((byte) => byte === index % 256)));
    assert.ok(new Set(views.map(({ buffer }) => buffer)).size < 40);
  });

  it('has room for a read of some length, whatever was received before', () => {
    const slab = new ReceiveSlab();
    for (let index = 0; index < 100; index += 1) {
      assert.ok(slab.offer().length >= 4 * KIB);
      slab.take(3000);
    }
  });

  it('grows while reads fill it, up to 256 KiB, and shrinks when they do not', () => {
    const slab = new ReceiveSlab();
    const lengths = Array.from({ length: 6 }, () => slab.take(slab.offer().length).length / KIB);
    assert.deepEqual(lengths, [16, 32, 64, 128, 256, 256]);
    let small = 0;
    for (let index = 0; index < 6000; index += 1) {
      small = slab.offer().buffer.byteLength / KIB;
      slab.take(1024);
    }
    assert.equal(small, 16);
  });
});

describe('filledItsRoom', () => {
  it('is true of a read that took all the room there was, and of no other', () => {
    const slab = new ReceiveSlab();
    slab.offer();
    assert.equal(filledItsRoom(slab.take(5000)), false);
    assert.equal(filledItsRoom(slab.take(slab.offer().length)), true);
    const { length } = slab.offer();
    assert.equal(filledItsRoom(slab.take(length - 1)), false);
  });

  it("knows Node's own chunks: 64 KiB, or shrunk to what came", () => {
    assert.equal(filledItsRoom(Buffer.allocUnsafeSlow(64 * KIB)), true);
    assert.equal(filledItsRoom(Buffer.allocUnsafeSlow(64 * KIB - 1)), false);
    assert.equal(filledItsRoom(Buffer.allocUnsafeSlow(28)), false);
  });
});

describe('readIntoSlab', () => {
  const folder = temporaryFolder();

  it('gives a socket data events, which can be paused, and its end', async () => {
    const sent = Buffer.alloc(3_000_000, 'abcdefgh');
    const server = net.createServer((other) => other.end(sent));
    await new Promise<void>((resolve) => server.listen(`${folder}/s`, resolve));
    const socket: net.Socket = net.connect({
      path: `${folder}/s`,
      onread: readIntoSlab(() => socket),
    });
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      socket.pause();
      setImmediate(() => {
        assert.equal(chunks.at(-1), chunk, 'nothing came while it was paused');
        socket.resume();
      });
    });
    await new Promise((resolve) => socket.once('end', resolve));
    assert.ok(Buffer.concat(chunks).equals(sent));
    socket.destroy();
    server.close();
  });
});
