/** When a volume lets go of the memory of a write's data and of what it read ahead: not before nobody looks at it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readRequest, writeRequest } from '#daemon/block/block-request.js';
import { letGoAll, takeSlab } from '#daemon/runtime/reused-memory.js';
import { READ_AHEAD_AGE_MS } from '#daemon/volume/read-ahead.js';
import { GATHER_MS } from '#daemon/volume/write-cache.js';
import { NODE_BYTES, PretendNode } from '#test/support/pretend-node.js';
import { HOLD_MS, openVolume, started } from './volume-bench.js';

const KIB = 1024;

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Data as it is received: its memory is used again when it was let go of once, and the view has no bytes then. */
function received(fill: number): Buffer {
  return takeSlab(KIB).fill(fill);
}

describe('the data of a write', () => {
  it('is let go of when the node has answered', async () => {
    const { volume, node } = await openVolume();
    node.hold();
    const data = received(1);
    started(volume, writeRequest(0, data));
    await turn();
    assert.equal(data.length, KIB);
    node.answer();
    assert.equal(data.length, 0);
    assert.equal(volume.unflushedBytes, KIB, 'the log has it');
  });

  it('is kept until the node has answered, with a write cache', async () => {
    const { volume, node, clock } = await openVolume({ writeCache: true });
    node.hold();
    const data = received(1);
    const write = started(volume, writeRequest(0, data));
    await turn();
    await clock.advance(GATHER_MS);
    assert.deepEqual([write.done, node.waitingCount, data.length], [true, 1, KIB]);
    node.answer();
    assert.equal(data.length, 0);
  });

  it('is the same for the node after a reconnect, and is left to the collector then', async () => {
    const { volume, node, clock } = await openVolume();
    node.hold();
    const data = received(7);
    const write = started(volume, writeRequest(0, data));
    await turn();
    node.disconnect();
    await clock.advance(HOLD_MS / 2);
    await turn();
    node.answer();
    assert.equal(write.done, true);
    assert.equal(data.length, KIB, 'the first connection may still be writing it');
    assert.equal(node.content.subarray(0, KIB).compare(Buffer.alloc(KIB, 7)), 0);
  });

  it('is left to the collector when the volume gives up', async () => {
    const { volume, node } = await openVolume();
    node.hold();
    const data = received(1);
    const write = started(volume, writeRequest(0, data));
    await volume.close();
    assert.deepEqual([write.error, data.length], ['ESHUTDOWN', KIB]);
  });
});

/** Answers reads from slabs, as a session's are. */
class SlabNode extends PretendNode {
  readonly slabs: Buffer[] = [];

  override answered(data: Buffer): Buffer {
    const slab = takeSlab(data.length);
    data.copy(slab);
    this.slabs.push(slab);
    return slab;
  }
}

describe('what was read ahead', () => {
  const READ_BYTES = 4 * KIB;

  it('is there for every read that asks for it, however soon the others let go, and let go of in the end', async () => {
    const node = new SlabNode();
    const { volume, clock } = await openVolume({ node, readAheadBytes: 16 * KIB });
    for (let at = 0; at < NODE_BYTES; at += READ_BYTES)
      node.content.fill((at / READ_BYTES) % 251, at, at + READ_BYTES);
    const read = async (index: number): Promise<number | undefined> => {
      let first: number | undefined;
      volume.submit(readRequest(index * READ_BYTES, READ_BYTES), (_request, { payload }) => {
        first = payload[0]?.[0];
        letGoAll(payload);
      });
      await turn();
      return first;
    };
    for (let index = 0; index < 40; index += 1) assert.equal(await read(index), index);
    const [fetched] = node.slabs.filter(({ length }) => length > READ_BYTES);
    assert.ok(fetched !== undefined, 'the last fetch is kept');
    assert.ok(node.slabs.length > 8 && node.slabs.filter(({ length }) => length > 0).length <= 2);
    await clock.advance(READ_AHEAD_AGE_MS + 1);
    started(volume, writeRequest(fetched.length, Buffer.alloc(KIB)));
    started(volume, writeRequest(0, Buffer.alloc(NODE_BYTES)));
    assert.ok(node.slabs.every(({ length }) => length === 0));
  });
});
