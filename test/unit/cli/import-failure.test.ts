/**
 * Goal: an import that is not complete, durable and verified fails, says what to do, and gives its lease
 * back. What happens when all is well: import.test.ts.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import { DONE, failed } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { worldWith } from './fake-surroundings.js';
import { MiB } from './fake-node.js';

let folder = '';

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'blkferry-import-'));
});

after(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function file(name: string, content: Buffer): Promise<string> {
  const filePath = path.join(folder, name);
  await writeFile(filePath, content);
  return filePath;
}

describe('blkferry import, when something goes wrong', () => {
  it('refuses a file longer than the volume before it touches the volume', async () => {
    const world = worldWith(MiB);
    const { exitCode, stderr } = await world.run(
      `import ${await file('long', randomBytes(MiB + 1))} v1`,
    );
    assert.equal(exitCode, 4);
    assert.match(stderr, /make the volume larger first: blkferry volume resize v1 1028KiB\n$/);
    assert.equal(world.node.leases.length, 0);
    assert.deepEqual(world.node.content('v1'), Buffer.alloc(MiB, 0xee));
  });

  it('refuses a stream longer than the volume', async () => {
    const world = worldWith(MiB);
    world.stdin = Readable.from([randomBytes(MiB), randomBytes(1)]);
    const { exitCode, stderr } = await world.run('import - v1');
    assert.equal(exitCode, 4);
    assert.match(
      stderr,
      /volume v1 is incomplete, run the import again: .*standard input has more/,
    );
    assert.equal(world.node.releases.length, 1);
  });

  it('ends with 3 when there is no such file, with 2 when it is a directory', async () => {
    const absent = await worldWith(MiB).run(`import ${folder}/absent v1`);
    assert.equal(absent.exitCode, 3);
    assert.match(absent.stderr, /cannot read .*absent: no such file or directory/);
    assert.equal((await worldWith(MiB).run(`import ${folder} v1`)).exitCode, 2);
  });

  it('ends with 4 and touches nothing when another writer holds the volume', async () => {
    const world = worldWith(MiB);
    world.node.hold('v1');
    const source = await file('held', randomBytes(9));
    const { exitCode, stderr } = await world.run(`import ${source} v1`);
    assert.equal(exitCode, 4);
    assert.match(stderr, /held by blkferryd on dom0/);
    assert.equal(world.node.received.length, 0);
    const takeOver = worldWith(MiB);
    takeOver.node.hold('v1');
    assert.equal((await takeOver.run(`import ${source} v1 --take-over`)).exitCode, 0);
    assert.equal(takeOver.node.leases[0]?.takeOver, true);
  });

  it('fails when the session ends at any request, never with a silent gap', async () => {
    const source = await file('cut', randomBytes(2 * MiB));
    const whole = worldWith(3 * MiB);
    await whole.run(`import ${source} v1`);
    const requestCount = whole.node.received.length;
    assert.ok(requestCount >= 5);
    for (let endAtRequest = 0; endAtRequest < requestCount; endAtRequest += 1) {
      const world = worldWith(3 * MiB);
      world.node.endAtRequest = endAtRequest;
      const { exitCode, stdout, stderr } = await world.run(`import ${source} v1`);
      assert.equal(exitCode, 5, `ended at request ${endAtRequest}`);
      assert.equal(stdout, '');
      assert.match(
        stderr,
        /volume v1 is incomplete, run the import again: the connection was lost/,
      );
      assert.equal(world.node.releases.length, 1);
    }
  });

  it('fails when the node was restarted before the final flush', async () => {
    const world = worldWith(MiB);
    world.node.verifierAtFlush = 2n;
    const { exitCode, stdout, stderr } = await world.run(
      `import ${await file('v', randomBytes(9))} v1`,
    );
    assert.equal(exitCode, 5);
    assert.equal(stdout, '');
    assert.match(stderr, /run the import again: the node was restarted and may have lost/);
  });

  it('fails with 4 when another writer takes the volume over', async () => {
    const world = worldWith(MiB);
    world.node.endAtRequest = 1;
    world.node.endReason = new StorageError('fenced', 'volume v1 was taken over by dom1');
    const { exitCode, stderr } = await world.run(`import ${await file('f', randomBytes(9))} v1`);
    assert.equal(exitCode, 4);
    assert.match(stderr, /taken over by dom1/);
  });

  it('fails when a write, a zero or the flush is refused, and names the range', async () => {
    for (const kind of ['write', 'write-zeroes', 'flush'] as const) {
      const world = worldWith(4 * MiB);
      world.node.intercept = (request) =>
        request.kind === kind ? failed(new BlockError('ENOSPC', 'the disk is full')) : undefined;
      const { exitCode, stderr } = await world.run(
        `import ${await file('e', randomBytes(MiB))} v1`,
      );
      assert.equal(exitCode, 7, kind);
      const range = {
        write: ' of 1048576 bytes at 0',
        'write-zeroes': ' of 3145728 bytes at 1048576',
        flush: '',
      };
      assert.match(stderr, new RegExp(`${kind}${range[kind]} failed: the disk is full\\n$`));
      assert.equal(world.node.releases.length, 1);
    }
  });

  it('ends with 6 when one byte reads back differently, be it data or zero', async () => {
    for (const at of [5, MiB - 1, 3 * MiB]) {
      const world = worldWith(4 * MiB);
      world.node.intercept = (request) => {
        if (request.kind === 'flush') {
          const content = world.node.content('v1');
          content.writeUInt8(content.readUInt8(at) ^ 1, at);
        }
        return undefined;
      };
      const { exitCode, stdout, stderr } = await world.run(
        `import ${await file('c', randomBytes(MiB))} v1`,
      );
      assert.equal(exitCode, 6, `byte ${at}`);
      assert.equal(stdout, '');
      assert.match(
        stderr,
        /v1 reads back differently .* between byte 0 and byte 4194304; do not use it/,
      );
      assert.equal(world.node.releases.length, 1);
    }
  });

  it('fails when the node answers a read with too few bytes', async () => {
    const source = await file('short', randomBytes(MiB));
    const world = worldWith(MiB);
    world.node.intercept = (request) =>
      request.kind === 'read' ? { ...DONE, payload: [Buffer.alloc(512)] } : undefined;
    const { exitCode, stderr } = await world.run(`import ${source} v1`);
    assert.equal(exitCode, 1);
    assert.match(stderr, /read of 1048576 bytes at 0 was answered with 512 bytes/);
  });

  it('fails when the file grows or changes while it is read', async () => {
    const source = await file('growing', randomBytes(MiB));
    const world = worldWith(4 * MiB);
    world.node.intercept = (request, index) => {
      if (index === 0 && request.kind === 'write') void appendFile(source, 'more');
      return undefined;
    };
    const content = randomBytes(30 * MiB);
    await writeFile(source, content);
    world.node.add('v2', 64 * MiB);
    const { exitCode, stderr } = await world.run(`import ${source} v2`);
    assert.equal(exitCode, 1);
    assert.match(stderr, /growing changed while it was read/);
  });

  it('gives the lease back when it is stopped, and says that the volume is incomplete', async () => {
    const world = worldWith(4 * MiB);
    world.stdin = new Readable({
      read() {
        // Never ends: a pipe whose writer hangs.
      },
    });
    world.stdin.push(randomBytes(2 * MiB));
    world.node.onOpened = () => {
      setImmediate(() => {
        world.pressCtrlC();
      });
    };
    const { exitCode, stderr } = await world.run('import - v1');
    assert.equal(exitCode, 130);
    assert.equal(
      stderr,
      'blkferry: volume v1 is incomplete, run the import again: stopped by SIGINT\n',
    );
    assert.equal(world.node.releases.length, 1);
    assert.equal(world.listensForStop, false);
  });

  it('notices the end of the session while it waits for a pipe', async () => {
    const world = worldWith(4 * MiB);
    world.stdin = new Readable({
      read() {
        // Never ends: a pipe whose writer hangs.
      },
    });
    world.stdin.push(randomBytes(2 * MiB));
    world.node.endAtRequest = 1;
    const { exitCode, stderr } = await world.run('import - v1');
    assert.equal(exitCode, 5);
    assert.match(stderr, /the connection was lost/);
    assert.equal(world.stdin.destroyed, true);
  });

  it('succeeds with a warning when the lease cannot be given back', async () => {
    const world = worldWith(MiB);
    world.node.refuseRelease = new StorageError('unavailable', 'gone');
    const { exitCode, stderr } = await world.run(`import ${await file('r', randomBytes(9))} v1`);
    assert.equal(exitCode, 0);
    assert.match(stderr, /lease of volume v1 could not be given back \(gone\); .* after 30 s/);
  });

  it('gives the lease back when the node refuses the session', async () => {
    const world = worldWith(MiB);
    world.node.refuseOpen = new StorageError('exhausted', 'too many sessions');
    const { exitCode } = await world.run(`import ${await file('o', randomBytes(9))} v1`);
    assert.equal(exitCode, 7);
    assert.equal(world.node.releases.length, 1);
  });
});
