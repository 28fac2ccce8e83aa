/**
 * Goal: a file that has the name asked for always holds the whole volume; whatever goes wrong leaves
 * neither that name nor a FILE.partial behind.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import { DONE, failed } from '#daemon/block/block-request.js';
import { FakeSurroundings } from './fake-surroundings.js';
import { KiB, MiB } from './fake-node.js';

let folder = '';
let target = '';

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'blkferry-export-'));
  target = path.join(folder, 'v1.img');
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A world with a volume: data, a large hole, data that crosses a piece border, an odd end. */
function worldWithVolume(): FakeSurroundings {
  const world = new FakeSurroundings();
  const { content } = world.node.add('v1', 20 * MiB + 512);
  randomBytes(300 * KiB).copy(content, 4096);
  randomBytes(5000).copy(content, 9 * MiB - 2500);
  randomBytes(100).copy(content, 20 * MiB + 400);
  return world;
}

describe('blkferry export', () => {
  it('copies the volume into a sparse file of the same size', async () => {
    const world = worldWithVolume();
    const { exitCode, stdout, stderr } = await world.run(`export v1 ${target}`);
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /^exported volume v1 to .*v1\.img: .*, verified, 0\.0 s\n$/);
    assert.deepEqual(await readFile(target), world.node.content('v1'));
    assert.deepEqual(await readdir(folder), ['v1.img']);
    const { blocks } = await stat(target);
    assert.ok(blocks * 512 < 2 * MiB, `${blocks * 512} bytes on disk`);
  });

  it('reads only what the node does not call zeroes, through a read-only session', async () => {
    const world = worldWithVolume();
    await world.run(`export v1 ${target}`);
    assert.equal(world.node.opens[0]?.generation, 0);
    assert.equal(world.node.leases.length, 0);
    const reads = world.node.received.filter((request) => request.kind === 'read');
    // Pieces 0, 8, 9 and the last one hold data; piece 8 ends where the second part begins.
    assert.deepEqual(
      reads.map((request) => request.offsetBytes / MiB),
      [0, 8, 9, 20],
    );
  });

  it('reads everything where the node cannot tell', async () => {
    const world = worldWithVolume();
    world.node.canBlockStatus = false;
    const { exitCode } = await world.run(`export v1 ${target}`);
    assert.equal(exitCode, 0);
    assert.ok(world.node.received.every((request) => request.kind === 'read'));
    assert.deepEqual(await readFile(target), world.node.content('v1'));
    assert.ok((await stat(target)).blocks * 512 < 2 * MiB, 'the file is sparse all the same');
  });

  it('keeps to the limits of the node', async () => {
    const world = worldWithVolume();
    world.node.canBlockStatus = false;
    world.node.requestBytesMax = 256 * KiB;
    world.node.requestsInFlightMax = 3;
    assert.equal((await world.run(`export v1 ${target}`)).exitCode, 0);
    assert.ok(world.node.inFlightSeenMax <= 3);
    assert.ok(world.node.received.every((request) => request.lengthBytes <= 256 * KiB));
    assert.deepEqual(await readFile(target), world.node.content('v1'));
  });

  it('copies a volume of zeroes into a file that is all hole', async () => {
    const world = new FakeSurroundings();
    world.node.add('v1', 3 * MiB);
    assert.equal((await world.run(`export v1 ${target}`)).exitCode, 0);
    const { size, blocks } = await stat(target);
    assert.equal(size, 3 * MiB);
    assert.equal(blocks, 0);
  });

  it('writes every byte in order to standard output, and talks on stderr', async () => {
    const world = worldWithVolume();
    const { exitCode, stderr } = await world.run('export v1 -');
    assert.equal(exitCode, 0);
    assert.deepEqual(Buffer.concat(world.stdoutChunks), world.node.content('v1'));
    assert.match(stderr, /^exported volume v1 to standard output: .* not verified/);
  });

  it('prints one document with --json, and refuses --json beside the content', async () => {
    const { stdout } = await worldWithVolume().run(`export v1 ${target} --json`);
    assert.deepEqual(JSON.parse(stdout), {
      volume: 'v1',
      sizeBytes: 20 * MiB + 512,
      dataBytes: 5 * 64 * KiB + 2 * 64 * KiB + 512,
      verified: true,
      elapsedMs: 0,
    });
    const refused = await worldWithVolume().run('export v1 - --json');
    assert.equal(refused.exitCode, 2);
  });

  it('warns when somebody writes to the volume meanwhile', async () => {
    const world = worldWithVolume();
    world.node.hold('v1');
    const { exitCode, stderr } = await world.run(`export v1 ${target}`);
    assert.equal(exitCode, 0);
    assert.match(stderr, /v1 is being written by blkferryd on dom0; .* mixes old and new content/);
    const idle = worldWithVolume();
    idle.node.hold('v1', { connected: false });
    assert.equal((await idle.run(`export v1 ${target} --force`)).stderr, '');
  });
});

describe('blkferry export and files that exist', () => {
  it('refuses to replace a file without --force, and asks the node for nothing', async () => {
    await writeFile(target, 'precious');
    const world = worldWithVolume();
    const { exitCode, stderr } = await world.run(`export v1 ${target}`);
    assert.equal(exitCode, 4);
    assert.match(stderr, /v1\.img exists; use --force to replace it/);
    assert.equal(await readFile(target, 'utf8'), 'precious');
    assert.equal(world.node.received.length, 0);
    assert.equal((await worldWithVolume().run(`export v1 ${target} --force`)).exitCode, 0);
    assert.equal((await stat(target)).size, 20 * MiB + 512);
  });

  it('refuses while FILE.partial is there, because another export may be writing it', async () => {
    await writeFile(`${target}.partial`, 'half');
    const { exitCode, stderr } = await worldWithVolume().run(`export v1 ${target}`);
    assert.equal(exitCode, 4);
    assert.match(stderr, /partial exists: another export is writing it, or one was killed/);
    assert.equal(await readFile(`${target}.partial`, 'utf8'), 'half');
    const forced = worldWithVolume();
    assert.equal((await forced.run(`export v1 ${target} --force`)).exitCode, 0);
    assert.deepEqual(await readFile(target), forced.node.content('v1'));
  });

  it('never replaces what is not a regular file, also with --force', async () => {
    await mkdir(target);
    const { exitCode, stderr } = await worldWithVolume().run(`export v1 ${target} --force`);
    assert.equal(exitCode, 4);
    assert.match(stderr, /exists and is not a regular file/);
    const device = await worldWithVolume().run('export v1 /dev/null --force');
    assert.equal(device.exitCode, 4);
  });

  it('replaces what a symbolic link points to, not the link', async () => {
    await writeFile(target, 'old');
    const link = path.join(folder, 'link');
    await symlink(target, link);
    const world = worldWithVolume();
    assert.equal((await world.run(`export v1 ${link} --force`)).exitCode, 0);
    assert.deepEqual(await readFile(target), world.node.content('v1'));
    assert.deepEqual((await readdir(folder)).sort(), ['link', 'v1.img']);
  });

  it('does not replace a file that appears meanwhile', async () => {
    const world = worldWithVolume();
    world.node.intercept = () => {
      void writeFile(target, 'somebody else');
      return undefined;
    };
    const { exitCode } = await world.run(`export v1 ${target}`);
    assert.equal(exitCode, 4);
    assert.equal(await readFile(target, 'utf8'), 'somebody else');
    assert.deepEqual(await readdir(folder), ['v1.img']);
  });

  it('ends with 3 when the folder does not exist', async () => {
    const { exitCode, stderr } = await worldWithVolume().run(`export v1 ${folder}/a/b`);
    assert.equal(exitCode, 3);
    assert.match(stderr, /cannot create .*a\/b\.partial: no such file or directory/);
  });
});

describe('blkferry export, when something goes wrong', () => {
  it('leaves nothing behind when the session ends at any request', async () => {
    const whole = worldWithVolume();
    await whole.run(`export v1 ${target}`);
    await rm(target);
    for (let endAtRequest = 0; endAtRequest < whole.node.received.length; endAtRequest += 1) {
      const world = worldWithVolume();
      world.node.endAtRequest = endAtRequest;
      const { exitCode, stdout, stderr } = await world.run(`export v1 ${target}`);
      assert.equal(exitCode, 5);
      assert.equal(stdout, '');
      assert.match(stderr, /the connection was lost/);
      assert.deepEqual(await readdir(folder), []);
    }
  });

  it('leaves nothing behind when a read fails, and names the range', async () => {
    const world = worldWithVolume();
    world.node.intercept = (request) =>
      request.kind === 'read' && request.offsetBytes === 8 * MiB
        ? failed(new BlockError('EIO', 'the disk reports an error'))
        : undefined;
    const { exitCode, stderr } = await world.run(`export v1 ${target}`);
    assert.equal(exitCode, 1);
    assert.match(stderr, /read of 1048576 bytes at 8388608 failed: the disk reports an error/);
    assert.deepEqual(await readdir(folder), []);
  });

  it('does not loop when block status says nothing', async () => {
    const world = worldWithVolume();
    world.node.intercept = (request) =>
      request.kind === 'block-status'
        ? { ...DONE, extents: [{ lengthBytes: 0, hole: true, zero: true }] }
        : undefined;
    const { exitCode, stderr } = await world.run(`export v1 ${target}`);
    assert.equal(exitCode, 1);
    assert.match(stderr, /block-status at 0 was answered with no length/);
    assert.deepEqual(await readdir(folder), []);
  });

  it('ends with 6 and removes the file when it reads back differently', async () => {
    const world = worldWithVolume();
    // The file's bytes are changed behind the back of the command, when the last piece is asked for.
    world.node.intercept = (request) => {
      if (request.kind === 'read' && request.offsetBytes === 20 * MiB) {
        void import('node:fs').then(({ openSync, writeSync, closeSync }) => {
          const fd = openSync(`${target}.partial`, 'r+');
          writeSync(fd, Buffer.from([1, 2, 3]), 0, 3, 15 * MiB);
          closeSync(fd);
        });
      }
      return undefined;
    };
    const { exitCode, stderr } = await world.run(`export v1 ${target}`);
    assert.equal(exitCode, 6);
    assert.match(stderr, /v1\.img reads back differently from what the node sent/);
    assert.deepEqual(await readdir(folder), []);
    world.node.received = [];
    const unverified = await world.run(`export v1 ${target} --no-verify`);
    assert.equal(unverified.exitCode, 0);
  });

  it('leaves nothing behind when it is stopped', async () => {
    const world = worldWithVolume();
    world.node.intercept = (request) => {
      if (request.kind === 'read') world.pressCtrlC();
      return undefined;
    };
    const { exitCode, stderr } = await world.run(`export v1 ${target}`);
    assert.equal(exitCode, 130);
    assert.equal(stderr, 'blkferry: stopped by SIGINT\n');
    assert.deepEqual(await readdir(folder), []);
  });

  it('fails when the reader of standard output goes away', async () => {
    const world = worldWithVolume();
    let chunks = 0;
    world.stdout = new Writable({
      write(_chunk, _encoding, callback) {
        chunks += 1;
        if (chunks < 3) callback();
        else callback(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      },
    });
    world.stdout.on('error', () => undefined);
    const { exitCode, stderr } = await world.run('export v1 -');
    assert.equal(exitCode, 1);
    assert.match(stderr, /cannot write standard output: the reader went away/);
  });
});
