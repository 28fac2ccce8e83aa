/** When a replaced file is noticed: once it has stopped changing, and however it was replaced. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { LOOK_INTERVAL_MS, watchFiles } from '#daemon/runtime/watched-files.js';
import { FakeClock } from '#test/support/fake-clock.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

describe('watchFiles', () => {
  const folder = temporaryFolder();
  const [one, two] = [path.join(folder, 'one'), path.join(folder, 'two')];
  let clock = new FakeClock();
  let told = 0;

  beforeEach(() => {
    clock = new FakeClock();
    told = 0;
    fs.writeFileSync(one, 'a');
    fs.writeFileSync(two, 'a');
  });

  function watch(files: readonly string[] = [one, two]): () => void {
    return watchFiles(files, clock, () => {
      told += 1;
    });
  }

  it('says nothing while nothing changes', async () => {
    watch();
    await clock.advance(10 * LOOK_INTERVAL_MS);
    assert.equal(told, 0);
  });

  it('tells once of two files that are written one after the other', async () => {
    watch();
    await clock.advance(LOOK_INTERVAL_MS);
    fs.writeFileSync(one, 'bb');
    await clock.advance(LOOK_INTERVAL_MS);
    fs.writeFileSync(two, 'bb');
    await clock.advance(LOOK_INTERVAL_MS);
    assert.equal(told, 0);
    await clock.advance(LOOK_INTERVAL_MS);
    assert.equal(told, 1);
    await clock.advance(10 * LOOK_INTERVAL_MS);
    assert.equal(told, 1);
  });

  it('notices a file of the same length put in its place, and one that goes and comes back', async () => {
    watch();
    fs.writeFileSync(`${one}.new`, 'b');
    fs.renameSync(`${one}.new`, one);
    await clock.advance(2 * LOOK_INTERVAL_MS);
    assert.equal(told, 1);
    fs.rmSync(two);
    await clock.advance(2 * LOOK_INTERVAL_MS);
    assert.equal(told, 2);
    fs.writeFileSync(two, 'c');
    await clock.advance(2 * LOOK_INTERVAL_MS);
    assert.equal(told, 3);
  });

  it('follows a link to a folder that is exchanged, as Kubernetes does it', async () => {
    for (const name of ['v1', 'v2']) {
      fs.mkdirSync(path.join(folder, name));
      fs.writeFileSync(path.join(folder, name, 'cert.pem'), name);
    }
    const link = path.join(folder, 'current');
    fs.symlinkSync('v1', link);
    watch([path.join(link, 'cert.pem')]);
    fs.symlinkSync('v2', `${link}.new`);
    fs.renameSync(`${link}.new`, link);
    await clock.advance(2 * LOOK_INTERVAL_MS);
    assert.equal(told, 1);
  });

  it('looks no more when it was ended', async () => {
    const stop = watch();
    stop();
    fs.writeFileSync(one, 'bb');
    await clock.advance(10 * LOOK_INTERVAL_MS);
    assert.equal(told, 0);
    assert.equal(clock.timerCount, 0);
  });
});
