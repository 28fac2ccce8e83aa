/** `read_ahead`: what follows is fetched before it is asked for, and never answered when it might be old. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  rangeRequest,
  readRequest,
  writeRequest,
  type BlockRequest,
} from '#daemon/block/block-request.js';
import { READ_AHEAD_AGE_MS } from '#daemon/volume/read-ahead.js';
import { NODE_BYTES, PretendNode } from '#test/support/pretend-node.js';
import { HOLD_MS, block, openVolume, started, type Bench } from './volume-bench.js';

const KIB = 1024;
const READ_BYTES = 4 * KIB;

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

interface Reader extends Bench {
  /** Reads and waits. @returns the first byte, or the error's number */
  read(index: number, lengthBytes?: number): Promise<number | string>;
  /** What the node was asked since the last look: first byte and length of each. */
  asked(): string[];
}

async function reader(options: Parameters<typeof openVolume>[0] = {}): Promise<Reader> {
  const bench = await openVolume({ readAheadBytes: 128 * KIB, ...options });
  for (let at = 0; at < NODE_BYTES; at += READ_BYTES)
    bench.node.content.fill((at / READ_BYTES) % 251, at, at + READ_BYTES);
  let seen = 0;
  return {
    ...bench,
    read: async (index, lengthBytes = READ_BYTES) => {
      let outcome: number | string | undefined;
      bench.volume.submit(readRequest(index * READ_BYTES, lengthBytes), (_request, result) => {
        outcome = result.error?.errno ?? result.payload[0]?.[0] ?? 'nothing';
      });
      await turn();
      assert.ok(outcome !== undefined, 'the read was answered');
      return outcome;
    },
    asked: () => {
      const requests = bench.node.received.slice(seen).map(({ request }) => request);
      seen = bench.node.received.length;
      return requests.map(describeRequest);
    },
  };
}

function describeRequest({ kind, offsetBytes, lengthBytes }: BlockRequest): string {
  return `${kind} ${offsetBytes / KIB}+${lengthBytes / KIB}`;
}

/** Four reads behind each other: the fourth makes the volume fetch what comes next. */
async function following(bench: Reader): Promise<void> {
  for (let index = 0; index < 4; index += 1) assert.equal(await bench.read(index), index);
  assert.deepEqual(bench.asked(), ['read 0+4', 'read 4+4', 'read 8+4', 'read 12+4', 'read 16+16']);
}

describe('reading ahead', () => {
  it('begins with the third read that follows another, small, and grows up to the setting', async () => {
    const bench = await reader();
    await following(bench);
    for (let index = 4; index < 100; index += 1) assert.equal(await bench.read(index), index);
    assert.deepEqual(bench.asked(), [
      ...['read 32+32', 'read 64+64', 'read 128+128', 'read 256+128', 'read 384+128'],
    ]);
    assert.equal(bench.volume.counters.readRequests, 100);
    assert.equal(bench.volume.counters.readBytes, 100 * READ_BYTES);
  });

  it('ends at the end of the volume', async () => {
    const bench = await reader();
    const last = NODE_BYTES / READ_BYTES - 1;
    for (let index = last - 6; index <= last; index += 1)
      assert.equal(await bench.read(index), index % 251);
    assert.deepEqual(bench.asked().at(-1), `read ${(last - 2) * 4}+12`);
  });

  const others: [string, (bench: Reader) => Promise<unknown>][] = [
    [
      'random reads',
      async (bench) => {
        for (const index of [9, 3, 7, 1, 5, 2]) await bench.read(index);
      },
    ],
    [
      'reads that skip',
      async (bench) => {
        for (let index = 0; index < 20; index += 2) await bench.read(index);
      },
    ],
    [
      'reads backwards',
      async (bench) => {
        for (let index = 9; index >= 0; index -= 1) await bench.read(index);
      },
    ],
    [
      'the same again and again',
      async (bench) => {
        for (let time = 0; time < 9; time += 1) await bench.read(1);
      },
    ],
    [
      'long reads',
      async (bench) => {
        for (let at = 0; at < 160; at += 16) await bench.read(at, 64 * KIB);
      },
    ],
    [
      'writes between',
      async (bench) => {
        for (let index = 0; index < 9; index += 1) {
          await bench.read(index);
          started(bench.volume, writeRequest(512 * KIB, block(1)));
          await turn();
        }
      },
    ],
  ];
  for (const [what, run] of others) {
    it(`does not begin with ${what}`, async () => {
      const bench = await reader();
      await run(bench);
      const { readRequests } = bench.volume.counters;
      assert.equal(bench.asked().filter((one) => one.startsWith('read')).length, readRequests);
    });
  }

  it('does not begin with several reads at a time', async () => {
    const bench = await reader();
    for (let index = 0; index < 12; index += 1)
      started(bench.volume, readRequest(index * READ_BYTES, READ_BYTES));
    await turn();
    assert.equal(bench.asked().length, 12);
  });

  it('is off with 0', async () => {
    const bench = await reader({ readAheadBytes: 0 });
    for (let index = 0; index < 9; index += 1) await bench.read(index);
    assert.equal(bench.asked().length, 9);
  });

  it('is not done without the lease, when others may write', async () => {
    const bench = await reader({ readOnly: true });
    for (let index = 0; index < 9; index += 1) await bench.read(index);
    assert.equal(bench.asked().length, 9);
  });

  const changes: [string, () => BlockRequest, number][] = [
    ['write', () => writeRequest(5 * READ_BYTES, block(99)), 99],
    ['write-zeroes', () => rangeRequest('write-zeroes', 5 * READ_BYTES, 512), 0],
    ['trim', () => rangeRequest('trim', 0, 64 * READ_BYTES), 0],
  ];
  for (const [kind, change, content] of changes) {
    it(`what was fetched is void after a ${kind} of a part of it`, async () => {
      const bench = await reader();
      await following(bench);
      started(bench.volume, change());
      assert.equal(await bench.read(5), content);
    });
  }

  it('a change voids what is still being fetched', async () => {
    const bench = await reader();
    for (let index = 0; index < 3; index += 1) await bench.read(index);
    bench.node.hold();
    started(bench.volume, readRequest(3 * READ_BYTES, READ_BYTES));
    started(bench.volume, writeRequest(5 * READ_BYTES, block(99)));
    bench.node.unhold();
    assert.equal(await bench.read(5), 99);
  });

  it('a change elsewhere leaves it', async () => {
    const bench = await reader();
    await following(bench);
    started(bench.volume, writeRequest(3 * READ_BYTES, block(99, READ_BYTES)));
    started(bench.volume, writeRequest(8 * READ_BYTES, block(98, READ_BYTES)));
    await turn();
    bench.asked();
    assert.equal(await bench.read(5), 5);
    assert.deepEqual(bench.asked(), []);
  });

  it(`nothing is used that was asked for more than ${READ_AHEAD_AGE_MS} ms ago`, async () => {
    const bench = await reader();
    await following(bench);
    await bench.clock.advance(READ_AHEAD_AGE_MS);
    assert.equal(await bench.read(4), 4);
    assert.deepEqual(bench.asked(), ['read 32+32']);
    await bench.clock.advance(1);
    assert.equal(await bench.read(5), 5);
    assert.deepEqual(bench.asked()[0], 'read 20+4');
  });

  it('nothing is used when the session was lost', async () => {
    const bench = await reader();
    await following(bench);
    bench.node.disconnect();
    bench.node.content.fill(99);
    await bench.volume.retryNow();
    assert.equal(await bench.read(4), 99);
  });

  it('a fetch that fails is asked again by whoever wants it, who hears the reason', async () => {
    const node = new PretendNode();
    const bench = await reader({ node });
    for (let index = 0; index < 3; index += 1) await bench.read(index);
    node.readErrorFrom = 4 * READ_BYTES;
    assert.equal(await bench.read(3), 3);
    assert.equal(bench.volume.counters.failedRequests, 0);
    assert.equal(await bench.read(4), 'EIO');
    assert.equal(bench.volume.counters.failedRequests, 1);
  });

  it('what is being fetched when the volume gives up ends with it', async () => {
    const bench = await reader();
    for (let index = 0; index < 3; index += 1) await bench.read(index);
    bench.node.hold();
    const read = started(bench.volume, readRequest(3 * READ_BYTES, READ_BYTES));
    assert.equal(bench.volume.requestsInFlight, 2);
    bench.node.away = undefined;
    bench.node.disconnect();
    bench.volume.refuse('refused by the test');
    assert.deepEqual([read.error, bench.volume.requestsInFlight], ['EIO', 0]);
  });

  it('goes on after it was interrupted', async () => {
    const bench = await reader();
    for (let index = 0; index < 3; index += 1) await bench.read(index);
    bench.node.hold();
    started(bench.volume, readRequest(3 * READ_BYTES, READ_BYTES));
    bench.node.disconnect();
    bench.node.unhold();
    await bench.clock.advance(HOLD_MS / 2);
    await turn();
    bench.asked();
    for (let index = 4; index < 9; index += 1) assert.equal(await bench.read(index), index);
    assert.deepEqual(bench.asked().slice(-2), ['read 28+16', 'read 44+32']);
  });
});
