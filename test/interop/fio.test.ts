/**
 * fio with verification: random reads and writes of many lengths from several connections at once, every
 * block with a checksum and its own place in its header, so that lost, torn and misplaced writes are
 * found. Bounded by size, not by time.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nbdServerForSuite } from '#test/support/nbd-server.js';
import { missingPrograms, runProgram, runSuccessfully } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const JOBS = 4;
const JOB_BYTES = 16 * MIB;

const VERIFY = ['--verify=crc32c', '--verify_fatal=1', '--verify_backlog=0'];

const FIO_TIMEOUT_MS = 120_000;

describe('fio', { skip: missingPrograms('fio') }, () => {
  const server = nbdServerForSuite();
  const folder = temporaryFolder();

  /** Each job has a connection and a part of the volume of its own. */
  function job(uri: string, ...options: readonly string[]): string[] {
    return [
      ...['--name=job', '--ioengine=nbd', `--uri=${uri}`, `--aux-path=${folder}`],
      ...[`--numjobs=${JOBS}`, `--size=${JOB_BYTES}`, `--offset_increment=${JOB_BYTES}`],
      ...['--iodepth=32', '--group_reporting', '--randrepeat=1', '--output-format=normal'],
      ...options,
    ];
  }

  async function fio(uri: string, ...options: readonly string[]): Promise<void> {
    const output = await runSuccessfully('fio', job(uri, ...options), {
      timeoutMs: FIO_TIMEOUT_MS,
    });
    assert.match(output, /err= 0/);
  }

  const newDisk = async (blockBytes = 512): Promise<string> =>
    (await server().newExport({ sizeBytes: JOBS * JOB_BYTES, blockBytes })).uri;

  it('finds every block of random writes as it wrote it, 4 jobs with 32 requests each', async () => {
    await fio(await newDisk(), '--rw=randwrite', '--bsrange=512-128k', ...VERIFY);
  });

  it('finds them also with reads among the writes, and flushes', async () => {
    await fio(await newDisk(4096), '--rw=randrw', '--bs=4k', '--fsync=64', ...VERIFY);
  });

  it('finds them in another run, from new connections', async () => {
    const uri = await newDisk();
    await fio(uri, '--rw=write', '--bs=64k', '--do_verify=0', ...VERIFY);
    await fio(uri, '--rw=write', '--bs=64k', '--verify_only', ...VERIFY);
  });

  it('finds a single changed sector (so that the other tests mean something)', async (t) => {
    const missing = missingPrograms('qemu-io');
    if (missing !== false) {
      t.skip(missing);
      return;
    }
    const uri = await newDisk();
    await fio(uri, '--rw=write', '--bs=64k', '--do_verify=0', ...VERIFY);
    await runSuccessfully('qemu-io', ['-f', 'raw', '-c', 'write -P 0x55 21M 512', uri]);
    const options = ['--rw=write', '--bs=64k', '--verify_only', ...VERIFY];
    const { status, stderr, stdout } = await runProgram('fio', job(uri, ...options));
    assert.notEqual(status, 0);
    assert.match(`${stdout}${stderr}`, /verify/);
  });

  it('trims, and reads go on to be right', async () => {
    const uri = await newDisk(4096);
    await fio(uri, '--rw=randtrim', '--bs=64k', '--iodepth=8');
    await fio(uri, '--rw=randwrite', '--bs=16k', ...VERIFY);
  });
});
