/**
 * Goal: after a successful import the volume holds the source followed by zeroes, durable and under one
 * lease. What happens otherwise: import-failure.test.ts.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { FakeSurroundings, worldWith } from './fake-surroundings.js';
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
      takesHoles: true,
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
