/** Goal: progress is seen by people and in logs, and by nobody who asked for quiet. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createProgress } from '#daemon/cli/progress.js';
import { FakeSurroundings } from './fake-surroundings.js';
import { MiB } from './fake-node.js';

function stderrOf(world: FakeSurroundings): string {
  return Buffer.concat(world.stderrChunks).toString('utf8');
}

describe('createProgress', () => {
  it('prints a line every five seconds when stderr is no terminal', async () => {
    const world = new FakeSurroundings();
    const progress = createProgress(world, false);
    progress.begin('import', 100 * MiB);
    progress.reached(10 * MiB);
    assert.equal(stderrOf(world), '');
    await world.clock.advance(5000);
    progress.reached(20 * MiB);
    progress.reached(30 * MiB);
    await world.clock.advance(5000);
    progress.reached(50 * MiB);
    progress.end();
    assert.deepEqual(
      stderrOf(world)
        .split('\n')
        .map((line) => line.replace(/%.*/, '%')),
      ['import: 20%', 'import: 50%', ''],
    );
  });

  it('tells bytes only when the end is not known', async () => {
    const world = new FakeSurroundings();
    const progress = createProgress(world, false);
    progress.begin('import', undefined);
    await world.clock.advance(5000);
    progress.reached(20 * MiB);
    assert.match(stderrOf(world), /^import: 20 ?MiB\n$/);
  });

  it('says nothing when it shall be quiet', async () => {
    const world = new FakeSurroundings();
    const progress = createProgress(world, true);
    progress.begin('import', 1);
    await world.clock.advance(5000);
    progress.reached(1);
    progress.end();
    assert.equal(stderrOf(world), '');
  });

  it('draws a bar on a terminal, stops it at the end, and may be ended twice', () => {
    const world = new FakeSurroundings();
    world.stderrIsTerminal = true;
    Object.assign(world.stderr, { isTTY: true, columns: 80 });
    const progress = createProgress(world, false);
    progress.begin('import', 100 * MiB);
    progress.reached(50 * MiB);
    progress.begin('verify', 100 * MiB);
    progress.end();
    progress.end();
    assert.match(stderrOf(world), /import +[#.]{32}/);
  });
});
