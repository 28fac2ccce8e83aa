/** What the simulator itself promises: histories that repeat, and a model that knows right from wrong. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MISPLACED, MIXTURE, blockContent, readContent } from './block-content.js';
import { HistoryModel } from './history-model.js';
import { planHistory } from './history-plan.js';
import { runHistory } from './history.js';
import { simulateCommand } from './simulate-command.js';
import { SeededRandom } from './seeded-random.js';
import { SimulatedDisk } from './simulated-disk.js';
import { World } from './world.js';

const BLOCK_BYTES = 512;

describe('a history', () => {
  it('is the same each time it runs from its seed', async () => {
    for (const seed of [3, 68, 724]) {
      const first = await runHistory(planHistory(seed));
      const second = await runHistory(planHistory(seed));
      assert.deepEqual(first.trace, second.trace);
      assert.ok(first.trace.length > 50);
    }
  });

  it('is another one for another seed', () => {
    assert.notDeepEqual(planHistory(1).requests, planHistory(2).requests);
  });
});

describe('npm run simulate', () => {
  async function printed(...words: string[]): Promise<{ code: number; text: string }> {
    let text = '';
    const code = await simulateCommand(words, (piece) => {
      text += piece;
    });
    return { code, text };
  }

  it('runs the seeds it is given and prints what they exercised', async () => {
    const { code, text } = await printed('--from', '7', '--seeds', '5');
    assert.equal(code, 0);
    assert.match(text, /^requests: write .* in +5 histories$/m);
    assert.match(text, /5 histories, \d+ a second, 0 broke a rule\n$/);
  });

  it('prints every event of one seed', async () => {
    const { text } = await printed('--seed', '7', '--trace');
    assert.match(text, /client 0 → a1: write/);
  });

  it('refuses a number that is none', async () => {
    assert.equal((await printed('--seeds', 'many')).code, 2);
  });
});

describe('the content of a block', () => {
  it('tells who wrote it, and where', () => {
    const bytes = blockContent(7, 3, BLOCK_BYTES);
    assert.equal(readContent(bytes, 3), 7);
    assert.equal(readContent(bytes, 4), MISPLACED);
    blockContent(8, 3, BLOCK_BYTES).copy(bytes, 256, 256);
    assert.equal(readContent(bytes, 3), MIXTURE);
    assert.equal(readContent(Buffer.alloc(BLOCK_BYTES), 3), 0);
  });
});

describe('the simulated disk', () => {
  const block = (content: number): Buffer => blockContent(content, 0, BLOCK_BYTES);

  it('keeps what a sync covered through a power cut', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const disk = new SimulatedDisk(1, BLOCK_BYTES, new SeededRandom(seed));
      disk.write(0, block(1));
      disk.write(0, block(2));
      disk.syncSucceeded(disk.beginSync());
      disk.loseCache();
      assert.equal(readContent(disk.read(0), 0), 2);
    }
  });

  it('leaves any state since the last sync after a power cut', () => {
    const seen = new Set<number>();
    for (let seed = 1; seed <= 50; seed += 1) {
      const disk = new SimulatedDisk(1, BLOCK_BYTES, new SeededRandom(seed));
      disk.write(0, block(1));
      disk.write(0, block(2));
      disk.loseCache();
      seen.add(readContent(disk.read(0), 0));
    }
    assert.deepEqual([...seen].sort(), [0, 1, 2]);
  });

  it('reads the pages of a failed sync until they leave the cache, and does not sync them again', () => {
    const lost = Array.from({ length: 50 }, (_, seed) => {
      const disk = new SimulatedDisk(1, BLOCK_BYTES, new SeededRandom(seed + 1));
      disk.write(0, block(1));
      disk.syncFailed(disk.beginSync());
      assert.equal(readContent(disk.read(0), 0), 1);
      disk.syncSucceeded(disk.beginSync());
      disk.evictLost();
      return readContent(disk.read(0), 0) === 0;
    });
    assert.ok(lost.includes(true));
  });
});

describe('the model', () => {
  const blank = Buffer.alloc(BLOCK_BYTES);

  function bench(): { world: World; model: HistoryModel } {
    const world = new World(new SeededRandom(1));
    const model = new HistoryModel(world, 4, BLOCK_BYTES);
    model.leaseMoved('a', 1);
    model.leaseTold('a', 1);
    return { world, model };
  }

  const ONE = { kind: 'write', first: 0, count: 1, fua: false };

  function broken(world: World): string | undefined {
    return world.violation?.rule;
  }

  function read(model: HistoryModel, bytes: Buffer): void {
    model.readSucceeded(model.submitOther('a'), 0, bytes);
  }

  it('lets a read return an unanswered write or the state before it', () => {
    for (const isNew of [true, false]) {
      const { world, model } = bench();
      const change = model.submitChange('a', ONE);
      read(model, isNew ? blockContent(change.id, 0, BLOCK_BYTES) : blank);
      assert.equal(broken(world), undefined);
    }
  });

  it('refuses a read that is older than an answered write', () => {
    const { world, model } = bench();
    model.changeSucceeded(model.submitChange('a', ONE));
    read(model, blank);
    assert.equal(broken(world), 'an older state came back');
  });

  it('refuses the success of a write that a later read did not see', () => {
    const { world, model } = bench();
    const change = model.submitChange('a', ONE);
    read(model, blank);
    assert.equal(broken(world), undefined);
    model.changeSucceeded(change);
    assert.equal(broken(world), 'a read sees what was answered');
  });

  it('lets a failed write be there or not, and refuses that it comes and goes', () => {
    const { world, model } = bench();
    const change = model.submitChange('a', ONE);
    model.changeFailed(change);
    read(model, blank);
    assert.equal(broken(world), undefined);
    read(model, blockContent(change.id, 0, BLOCK_BYTES));
    assert.equal(broken(world), 'a block changed by itself');
  });

  it('lets a takeover and a power cut take what was not flushed, and nothing that was', () => {
    for (const isFlushed of [true, false]) {
      const { world, model } = bench();
      model.changeSucceeded(model.submitChange('a', ONE));
      if (isFlushed) model.flushSucceeded(model.submitOther('a'));
      model.leaseMoved('b', 2);
      model.cacheLost('a power cut');
      model.readSucceeded(model.submitOther('b'), 0, blank);
      assert.equal(broken(world) !== undefined, isFlushed);
    }
  });

  it('refuses any success of a writer whose lease had gone when it was asked', () => {
    for (const kind of ['read', 'flush', 'write']) {
      const { world, model } = bench();
      model.leaseMoved('b', 2);
      if (kind === 'write') model.changeSucceeded(model.submitChange('a', ONE));
      else if (kind === 'flush') model.flushSucceeded(model.submitOther('a'));
      else read(model, blank);
      assert.equal(broken(world), 'one writer');
    }
  });
});
