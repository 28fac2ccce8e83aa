/**
 * Goal: after a successful import the volume holds the source followed by zeroes, durable and under one
 * lease; after anything else the command fails and says so.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import { DONE, failed } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { FakeSurroundings } from './fake-surroundings.js';
import { KiB, MiB } from './fake-node.js';

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

/** What the volume must hold: the content, then zeroes. */
function expected(content: Buffer, sizeBytes: number): Buffer {
  return Buffer.concat([content, Buffer.alloc(sizeBytes - content.length)]);
}

/** A world with a volume full of old content. */
function worldWith(sizeBytes: number): FakeSurroundings {
  const world = new FakeSurroundings();
  world.node.add('v1', sizeBytes, 0xee);
  return world;
}

describe('blkferry import', () => {
  it('makes the volume equal to the file, at every odd size', async () => {
    const sizes = [0, 1, 511, 512, 4097, 64 * KiB + 1, MiB - 1, MiB, MiB + 1, 3 * MiB + 777];
    for (const sizeBytes of sizes) {
      const content = randomBytes(sizeBytes);
      const source = await file('odd', content);
      const world = worldWith(5 * MiB);
      const { exitCode, stderr } = await world.run(`import ${source} v1`);
      assert.equal(exitCode, 0, stderr);
      assert.deepEqual(world.node.content('v1'), expected(content, 5 * MiB), `${sizeBytes} bytes`);
    }
  });

  it('fills a volume to its last byte', async () => {
    const content = randomBytes(3 * MiB);
    const world = worldWith(3 * MiB);
    const { exitCode } = await world.run(`import ${await file('full', content)} v1`);
    assert.equal(exitCode, 0);
    assert.deepEqual(world.node.content('v1'), content);
  });

  it('makes holes and runs of zeroes into write-zeroes, so that old content does not shine through', async () => {
    const handle = await open(path.join(folder, 'sparse'), 'w');
    const first = randomBytes(100 * KiB);
    const second = randomBytes(10 * KiB);
    await handle.write(first, 0, first.length, 0);
    await handle.write(second, 0, second.length, 6 * MiB + 4096);
    await handle.truncate(10 * MiB + 100);
    await handle.close();
    const content = Buffer.alloc(10 * MiB + 100);
    first.copy(content, 0);
    second.copy(content, 6 * MiB + 4096);

    const world = worldWith(12 * MiB);
    const { exitCode } = await world.run(`import ${path.join(folder, 'sparse')} v1`);
    assert.equal(exitCode, 0);
    assert.deepEqual(world.node.content('v1'), expected(content, 12 * MiB));
    const kinds = world.node.received.map((request) => request.kind);
    const written = world.node.received
      .filter((request) => request.kind === 'write')
      .reduce((sum, request) => sum + request.lengthBytes, 0);
    assert.ok(written <= 256 * KiB, `${written} bytes were sent for 110 KiB of data`);
    assert.ok(kinds.filter((kind) => kind === 'write-zeroes').length <= 3);
  });

  it('writes zeroes in small steps where the node cannot punch holes', async () => {
    const world = worldWith(20 * MiB);
    world.node.canFastZero = false;
    const { exitCode } = await world.run(`import ${await file('empty', Buffer.alloc(1))} v1`);
    assert.equal(exitCode, 0);
    assert.deepEqual(world.node.content('v1'), Buffer.alloc(20 * MiB));
    for (const request of world.node.received) assert.ok(request.lengthBytes <= 8 * MiB);
  });

  it('keeps at most sixteen requests and what the node allows in flight', async () => {
    const content = randomBytes(40 * MiB);
    const world = worldWith(40 * MiB);
    world.node.answerTurns = 500;
    world.stdin = Readable.from([content]);
    assert.equal((await world.run('import - v1 --no-verify')).exitCode, 0);
    assert.equal(world.node.inFlightSeenMax, 16);

    const narrow = worldWith(40 * MiB);
    narrow.node.requestBytesMax = 256 * KiB;
    narrow.node.bytesInFlightMax = MiB;
    narrow.node.answerTurns = 20;
    narrow.stdin = Readable.from([content]);
    assert.equal((await narrow.run('import - v1')).exitCode, 0);
    assert.equal(narrow.node.inFlightSeenMax, 4);
    assert.ok(
      narrow.node.received.every((one) => one.kind !== 'write' || one.lengthBytes <= 256 * KiB),
    );
    assert.deepEqual(narrow.node.content('v1'), content);
  });

  it('flushes after the last write and reads back after the flush', async () => {
    const world = worldWith(3 * MiB);
    await world.run(`import ${await file('flush', randomBytes(2 * MiB))} v1`);
    const kinds = world.node.received.map((request) => request.kind);
    const flushAt = kinds.indexOf('flush');
    assert.ok(kinds.slice(0, flushAt).every((kind) => kind.startsWith('write')));
    assert.deepEqual(new Set(kinds.slice(flushAt + 1)), new Set(['read']));
    const readBytes = world.node.received
      .filter((request) => request.kind === 'read')
      .reduce((sum, request) => sum + request.lengthBytes, 0);
    assert.equal(readBytes, 3 * MiB, 'every byte is read back, zeroes too');
  });

  it('writes under a lease of its own, says whose, and gives it back', async () => {
    const world = worldWith(MiB);
    await world.run(`import ${await file('lease', randomBytes(1000))} v1`);
    const [lease] = world.node.leases;
    assert.equal(lease?.volumeId, 'id-of-v1');
    assert.equal(lease.description, 'blkferry import on dom0 pid 4711');
    assert.equal(lease.takeOver, false);
    assert.match(lease.attachmentId, /^import-[0-9a-f-]{36}$/);
    assert.ok(lease.attachmentId.length <= 64);
    assert.deepEqual(world.node.opens[0], {
      volumeId: 'id-of-v1',
      attachmentId: lease.attachmentId,
      generation: 1,
      streamIndex: 0,
      checksum: 'crc32c',
    });
    assert.deepEqual(world.node.releases, [
      { volumeId: 'id-of-v1', attachmentId: lease.attachmentId, generation: 1 },
    ]);
  });

  it('prints one document with --json and nothing on stderr', async () => {
    const world = worldWith(3 * MiB);
    const { stdout, stderr } = await world.run(
      `import ${await file('json', randomBytes(MiB))} v1 --json`,
    );
    assert.equal(stderr, '');
    assert.deepEqual(JSON.parse(stdout), {
      volume: 'v1',
      sourceBytes: MiB,
      dataBytes: MiB,
      zeroBytes: 2 * MiB,
      verified: 'full',
      elapsedMs: 0,
    });
  });

  it('takes standard input, in chunks of any size', async () => {
    const content = randomBytes(2 * MiB + 333);
    const world = worldWith(4 * MiB);
    const chunks: Buffer[] = [];
    for (let at = 0; at < content.length; at += 77_777)
      chunks.push(content.subarray(at, at + 77_777));
    world.stdin = Readable.from(chunks);
    const { exitCode, stdout } = await world.run('import - v1');
    assert.equal(exitCode, 0);
    assert.match(stdout, /^imported standard input into volume v1: /);
    assert.deepEqual(world.node.content('v1'), expected(content, 4 * MiB));
  });

  it('does not read back what the node calls zeroes with --verify data, nothing with --no-verify', async () => {
    const source = await file('modes', randomBytes(MiB));
    const byData = worldWith(8 * MiB);
    const { stdout } = await byData.run(`import ${source} v1 --verify data --json`);
    assert.equal((JSON.parse(stdout) as { verified: string }).verified, 'data');
    const reads = byData.node.received.filter((request) => request.kind === 'read');
    assert.equal(reads.length, 1);
    const none = worldWith(8 * MiB);
    await none.run(`import ${source} v1 --no-verify`);
    assert.ok(none.node.received.every((request) => request.kind !== 'read'));
    const wrong = await worldWith(MiB).run(`import ${source} v1 --verify some`);
    assert.equal(wrong.exitCode, 2);
  });
});

describe('blkferry import, making the volume', () => {
  it('makes the volume with --create, the size rounded up to whole blocks', async () => {
    const content = randomBytes(10_000);
    const world = new FakeSurroundings();
    const { exitCode } = await world.run(`import ${await file('new', content)} v2 --create`);
    assert.equal(exitCode, 0);
    assert.deepEqual(world.node.content('v2'), expected(content, 12_288));
  });

  it('makes it of the size asked for, and uses one that is there', async () => {
    const content = randomBytes(10_000);
    const source = await file('sized', content);
    const world = new FakeSurroundings();
    await world.run(`import ${source} v2 --create --size 1MiB`);
    assert.equal(world.node.content('v2').length, MiB);
    const again = await world.run(`import ${source} v2 --create`);
    assert.equal(again.exitCode, 0);
    assert.equal(world.node.content('v2').length, MiB);
  });

  it('needs --size for standard input, at least the size of the file, and --create', async () => {
    const unknown = await new FakeSurroundings().run('import - v2 --create');
    assert.equal(unknown.exitCode, 2);
    assert.match(unknown.stderr, /the size of standard input is not known: add --size SIZE/);
    const source = await file('small', randomBytes(10_000));
    const small = await new FakeSurroundings().run(`import ${source} v2 --create --size 4096`);
    assert.equal(small.exitCode, 2);
    assert.match(small.stderr, /--size is too small/);
    const useless = await worldWith(MiB).run(`import ${source} v1 --size 1MiB`);
    assert.equal(useless.exitCode, 2);
    assert.match(useless.stderr, /add --create/);
  });

  it('ends with 3 and the near names when the volume is not there', async () => {
    const { exitCode, stderr } = await worldWith(MiB).run(
      `import ${await file('x', randomBytes(9))} v2`,
    );
    assert.equal(exitCode, 3);
    assert.match(stderr, /no volume v2 at 127\.0\.0\.1:7600; did you mean v1\?/);
  });
});

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
    assert.match(stderr, /standard input has more.*volume v1 is incomplete: run the import again/);
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
        /the connection was lost; volume v1 is incomplete: run the import again/,
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
    assert.match(stderr, /the node was restarted and may have lost .* run the import again/);
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
      assert.match(
        stderr,
        new RegExp(`${kind}${range[kind]} failed: the disk is full; volume v1 is`),
      );
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

  it('fails when the node answers a read with too few bytes, or a request never sent', async () => {
    const source = await file('short', randomBytes(MiB));
    const world = worldWith(MiB);
    world.node.intercept = (request) =>
      request.kind === 'read' ? { ...DONE, payload: Buffer.alloc(512) } : undefined;
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
      'blkferry: stopped by SIGINT; volume v1 is incomplete: run the import again\n',
    );
    assert.equal(world.node.releases.length, 1);
    assert.equal(world.listensForStop, false);
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
