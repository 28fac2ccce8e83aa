/**
 * qemu-io issues single requests of each kind with known patterns. Every check reads in another process
 * than the one that wrote.
 */
import assert from 'node:assert/strict';
import { before, beforeEach, describe, it } from 'node:test';
import type { NbdExport } from '#test/support/nbd-server-interface.js';
import { nbdServerForSuite } from '#test/support/nbd-server.js';
import { missingPrograms, runProgram, runSuccessfully } from '#test/support/program.js';

const MIB = 1024 * 1024;

describe('qemu-io', { skip: missingPrograms('qemu-io') }, () => {
  const server = nbdServerForSuite();
  let disk: NbdExport;

  before(async () => {
    disk = await server().newExport({ sizeBytes: 64 * MIB });
  });

  beforeEach(async () => {
    await io('write -z -u 0 64M');
  });

  /** Runs commands in one process. @throws if one of them fails or a pattern differs */
  async function io(...commands: readonly string[]): Promise<string> {
    return ioWith([], ...commands);
  }

  async function ioWith(
    options: readonly string[],
    ...commands: readonly string[]
  ): Promise<string> {
    const args = commands.flatMap((command) => ['-c', command]);
    const output = await runSuccessfully('qemu-io', [...options, '-f', 'raw', ...args, disk.uri]);
    assert.doesNotMatch(output, /fail|mismatch|error/i, output);
    return output;
  }

  it('reads back a pattern, and zeroes on both sides of it', async () => {
    await io('write -P 0xa5 1M 64k');
    await io('read -P 0 983040 64k', 'read -P 0xa5 1M 64k', 'read -P 0 1114112 64k');
  });

  it('reads holes and data in one request', async () => {
    await io('write -P 0x5a 20M 64k', 'write -P 0x5b 22M 512');
    await io('read -P 0 16M 4M', 'read -P 0 20544k 1984k', 'read -P 0 23069184 9M');
    await io('read -P 0x5a -s 4M -l 64k 16M 16M', 'read -P 0x5b -s 6M -l 512 16M 16M');
    await io('read -P 0 -s 4160k -l 1984k 16M 16M', 'read -P 0 -s 6291968 -l 4M 16M 16M');
  });

  it('sees a wrong pattern (so that the other tests mean something)', async () => {
    const { stdout, status } = await runProgram('qemu-io', [
      ...['-f', 'raw', '-c', 'read -P 0x11 1M 64k', disk.uri],
    ]);
    assert.equal(status, 1);
    assert.match(stdout, /Pattern verification failed/);
  });

  it('writes single sectors between others', async () => {
    await io('write -P 1 0 1536', 'write -P 2 512 512');
    await io('read -P 1 0 512', 'read -P 2 512 512', 'read -P 1 1024 512', 'read -P 0 1536 512');
  });

  it('writes parts of sectors, which qemu reads, changes and writes back', async () => {
    await io('write -P 3 0 4k', 'write -P 4 1000 100');
    await io('read -P 3 0 1000', 'read -P 4 1000 100', 'read -P 3 1100 2996');
  });

  it('writes with FUA, and with a flush after it', async () => {
    await io('write -f -P 5 2M 8k', 'flush');
    await io('read -P 5 2M 8k');
  });

  it('writes through: every request followed by what makes it durable', async () => {
    await ioWith(['-t', 'writethrough'], 'write -P 6 3M 128k', 'write -z 3M 4k');
    await io('read -P 0 3M 4k', 'read -P 6 3149824 124k');
  });

  for (const [what, options] of [
    ['keeping the space', ''],
    ['giving the space back', '-u'],
    ['with FUA', '-f'],
    ['giving the space back, with FUA', '-u -f'],
    ['only if that is fast', '-u -n'],
  ] as const) {
    it(`writes zeroes ${what}`, async () => {
      await io('write -P 7 4M 256k');
      await io(`write -z ${options} 4260864 64k`);
      await io('read -P 7 4M 66560', 'read -P 0 4260864 64k', 'read -P 7 4326400 127k');
    });
  }

  it('keeps the space of zeroes written without -u, and gives it back with -u', async () => {
    await io('write -P 7 8M 2M', 'flush');
    const fullBytes = await server().allocatedBytes(disk);
    await io('write -z 8M 1M', 'flush');
    assert.equal(await server().allocatedBytes(disk), fullBytes);
    await io('write -z -u 9M 1M', 'flush');
    assert.equal(await server().allocatedBytes(disk), fullBytes - MIB);
  });

  it('discards without touching the neighbours, and the space is free again', async () => {
    await io('write -P 8 16M 3M', 'flush');
    const fullBytes = await server().allocatedBytes(disk);
    await ioWith(['-d', 'unmap'], 'discard 17M 1M');
    await io('read -P 8 16M 1M', 'read -P 8 18M 1M');
    assert.equal(await server().allocatedBytes(disk), fullBytes - MIB);
  });

  it('finishes many requests in flight, each with its own data', async () => {
    const places = Array.from({ length: 64 }, (_, index) => index + 1);
    await io(
      ...places.map((place) => `aio_write -q -P ${place} ${place * 64}k 64k`),
      'aio_flush',
      'flush',
    );
    await io(...places.map((place) => `read -P ${place} ${place * 64}k 64k`));
  });

  it('writes and reads the last sector, and 32 MiB at once', async () => {
    await io('write -P 9 67108352 512', 'write -P 10 1M 32M');
    await io('read -P 9 67108352 512', 'read -P 10 1M 32M');
  });

  it('fails a request behind the end, and the next one works', async () => {
    const commands = ['-c', 'write -P 1 64M 512', '-c', 'read -P 0 0 512'];
    const { stdout } = await runProgram('qemu-io', ['-f', 'raw', ...commands, disk.uri]);
    assert.match(stdout, /write failed: Input\/output error/);
    assert.match(stdout, /read 512\/512 bytes at offset 0/);
  });

  it('cannot write to a read-only export', async () => {
    const readOnly = await server().newExport({ sizeBytes: MIB, isReadOnly: true });
    const args = ['-f', 'raw', '-c', 'write 0 512', readOnly.uri];
    const { status, stderr, stdout } = await runProgram('qemu-io', args);
    assert.equal(status, 1);
    assert.match(`${stderr}${stdout}`, /read-only|Permission denied/i);
    await runSuccessfully('qemu-io', ['-r', '-f', 'raw', '-c', 'read -P 0 0 1M', readOnly.uri]);
  });
});
