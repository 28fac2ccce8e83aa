/**
 * Goal: the checked load finds no fault with a disk that keeps its promises, also when its connections are
 * cut, and finds the fault of each disk that does not: a checker that cannot fail proves nothing.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import { DONE, failed } from '#daemon/block/block-request.js';
import { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import { toNbdTarget } from '#daemon/cli/selftest/nbd-target.js';
import { nextRequest } from '#daemon/cli/selftest/request-mix.js';
import { SeededChance } from '#daemon/cli/selftest/seeded-chance.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { FakeDisk, type Intercept } from './fake-disk.js';

const DISK_BYTES = 1024 * 1024;
const REQUESTS = 3000;

/** Runs a load of REQUESTS requests on a disk and reads everything back. */
async function loadOn(intercept?: Intercept, cutEvery = Infinity): Promise<CheckedLoad> {
  const content = Buffer.alloc(DISK_BYTES);
  const load = new CheckedLoad({
    connect: () => Promise.resolve(new FakeDisk(content, intercept)),
    ...{ connections: 3, depth: 8, sizeBytes: DISK_BYTES, seed: 7, owner: 'test' },
    ...{ requestsPerSecondMax: Infinity, clock: SYSTEM_CLOCK },
  });
  await load.start();
  let nextCut = cutEvery;
  while (load.record.requestCount < REQUESTS && load.record.problemCount === 0) {
    await new Promise((resolve) => setImmediate(resolve));
    if (load.record.requestCount < nextCut) continue;
    load.cut(nextCut % 3);
    nextCut += cutEvery;
  }
  await load.stop();
  await load.verify();
  return load;
}

function problemsOf({ record }: CheckedLoad): string {
  return record.problems.join('\n');
}

describe('a checked load', () => {
  it('finds nothing wrong with a disk that keeps its promises', async () => {
    const { record } = await loadOn();
    assert.deepEqual(record.problems, []);
    const { reads, writes, flushes, zeroes, trims, fuaWrites, errors } = record.counters;
    for (const count of [reads, writes, flushes, zeroes, trims, fuaWrites]) assert(count > 20);
    assert.deepEqual(errors, {});
  });

  it('goes on over cut connections, and takes what was unanswered for doubtful', async () => {
    const { record } = await loadOn(undefined, 100);
    assert.deepEqual(record.problems, []);
    assert(record.counters.reconnects >= 20 && record.counters.unanswered > 20);
  });

  it('counts errors and goes on', async () => {
    let count = 0;
    const { record } = await loadOn((request) => {
      count += 1;
      const isTime = request.kind === 'write' && count % 300 === 0;
      return isTime ? failed(new BlockError('ENOSPC', 'full')) : undefined;
    });
    assert.deepEqual(record.problems, []);
    assert((record.counters.errors['ENOSPC'] ?? 0) > 0);
  });

  it('finds a write that was answered and lost', async () => {
    let count = 0;
    const load = await loadOn((request) => {
      if (request.kind !== 'write') return undefined;
      count += 1;
      return count === 200 ? DONE : undefined;
    });
    assert.match(problemsOf(load), /which is older|lost/);
  });

  it('finds an old write that comes back', async () => {
    let kept: { at: number; data: Buffer } | undefined;
    let count = 0;
    const load = await loadOn((request, content) => {
      if (request.kind !== 'write') return undefined;
      count += 1;
      const data = Buffer.concat(request.payload);
      if (count === 100) kept = { at: request.offsetBytes, data };
      if (count === 400) kept?.data.copy(content, kept.at);
      return undefined;
    });
    assert.match(problemsOf(load), /which is older|something newer/);
  });

  it('finds a write in the wrong place', async () => {
    let count = 0;
    const load = await loadOn((request, content) => {
      if (request.kind !== 'write') return undefined;
      count += 1;
      if (count % 20 !== 0) return undefined;
      const at = request.offsetBytes === 0 ? 4096 : request.offsetBytes - 4096;
      Buffer.concat(request.payload).copy(content, at);
      return DONE;
    });
    assert.match(problemsOf(load), /holds what was written to block/);
  });

  it('finds a block that is torn', async () => {
    let count = 0;
    const load = await loadOn((request, content) => {
      if (request.kind !== 'write') return undefined;
      count += 1;
      if (count % 20 !== 0) return undefined;
      Buffer.concat(request.payload).copy(content, request.offsetBytes, 0, 1024);
      return DONE;
    });
    assert.match(problemsOf(load), /torn or damaged|neither zeroes nor a stamp/);
  });
});

describe('the mix of requests', () => {
  it('stays within the volume and the longest request, and is the same for the same seed', () => {
    const options = { blockCount: 256, blocksMax: 64, canTrim: true };
    const [one, two] = [new SeededChance(5), new SeededChance(5)];
    const kinds = new Set<string>();
    for (let count = 0; count < 5000; count += 1) {
      const request = nextRequest(one, options);
      assert.deepEqual(nextRequest(two, options), request);
      kinds.add(request.kind);
      if (request.kind === 'flush') continue;
      const { firstBlock, blockCount } = request;
      assert(firstBlock >= 0 && blockCount >= 1 && blockCount <= 64);
      assert(firstBlock + blockCount <= 256);
    }
    assert.deepEqual([...kinds].sort(), ['flush', 'read', 'trim', 'write', 'write-zeroes']);
  });
});

describe('toNbdTarget', () => {
  it('understands the addresses that the daemon names', () => {
    assert.deepEqual(toNbdTarget('nbd+unix:///a%20b?socket=/run/x.sock'), {
      socket: { path: '/run/x.sock' },
      exportName: 'a b',
    });
    assert.deepEqual(toNbdTarget('nbd://[::1]:10810/v1'), {
      socket: { host: '::1', port: 10810 },
      exportName: 'v1',
    });
    assert.equal(toNbdTarget('nbds://host/v1'), undefined);
    assert.equal(toNbdTarget('v1'), undefined);
  });
});
