/** Which fdatasync covers which flush. The calls end when the test says so. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FlushQueue } from '#daemon/storage-node/backend/file/flush-queue.js';

class PretendDisk {
  readonly running: ((error: Error | null) => void)[] = [];
  calls = 0;

  readonly fdatasync = (_fd: number, done: (error: Error | null) => void): void => {
    this.calls += 1;
    this.running.push(done);
  };

  end(error: Error | null = null): void {
    this.running.shift()?.(error);
  }
}

function queueOn(disk: PretendDisk): {
  queue: FlushQueue;
  log: string[];
  flush: (name: string) => void;
} {
  const queue = new FlushQueue(1, disk.fdatasync);
  const log: string[] = [];
  return {
    queue,
    log,
    flush: (name) => {
      queue.flush((error) => log.push(error === undefined ? name : `${name}: ${error.errno}`));
    },
  };
}

describe('FlushQueue', () => {
  //  a ──call 1──►
  //     b  c        wait: call 1 may have passed their data by
  //              ──call 2──► b c
  it('lets those who come during a call share the next one', () => {
    const disk = new PretendDisk();
    const { log, flush } = queueOn(disk);
    flush('a');
    flush('b');
    flush('c');
    assert.equal(disk.calls, 1);
    disk.end();
    assert.deepEqual(log, ['a']);
    assert.equal(disk.calls, 2);
    disk.end();
    assert.deepEqual(log, ['a', 'b', 'c']);
    assert.equal(disk.calls, 2);
  });

  it('never forgets an error: later calls that succeed prove nothing', () => {
    const disk = new PretendDisk();
    const { log, flush } = queueOn(disk);
    flush('a');
    disk.end(Object.assign(new Error('i/o error'), { code: 'EIO' }));
    flush('b');
    disk.end();
    assert.deepEqual(log, ['a: EIO', 'b: EIO']);
  });

  it('passes a full disk on as that', () => {
    const disk = new PretendDisk();
    const { log, flush } = queueOn(disk);
    flush('a');
    disk.end(Object.assign(new Error('no space'), { code: 'ENOSPC' }));
    assert.deepEqual(log, ['a: ENOSPC']);
  });

  it('is idle when the last call has ended', async () => {
    const disk = new PretendDisk();
    const { queue, flush } = queueOn(disk);
    await queue.whenIdle();
    flush('a');
    flush('b');
    let idle = false;
    const waiting = queue.whenIdle().then(() => {
      idle = true;
    });
    disk.end();
    await Promise.resolve();
    assert.equal(idle, false);
    disk.end();
    await waiting;
    assert.equal(idle, true);
  });
});
