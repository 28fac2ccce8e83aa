/**
 * The device outlives the programs behind it: fio with verification runs through the death and the upgrade
 * of the daemon, the death of the node, and a node that is silent. What the kernel keeps meanwhile is
 * answered afterwards; the longest pause is printed.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { runProgram } from '#test/support/program.js';
import { DeviceBench, KernelLog, SLOW_MS, missingNbd, until } from './device-bench.js';

/** How long fio runs: long enough for each trouble and the recovery from it. */
const LOAD_SECONDS = 40;

/** How long the silent node is silent. */
const SILENCE_MS = 20_000;

describe('a kernel device under load', { skip: missingNbd() }, () => {
  const bench = new DeviceBench();
  let device: string;
  let log: KernelLog;

  before(async () => {
    await bench.start();
    device = await bench.newDevice('v', 64 * 1024 ** 2);
  });
  after(() => bench.stop());
  beforeEach(() => {
    log = new KernelLog();
  });

  /** Runs fio, makes trouble once it is at work, and looks at what came of it. */
  async function through(
    what: string,
    trouble: () => Promise<void>,
    seconds = LOAD_SECONDS,
  ): Promise<void> {
    const load = runProgram('fio', fioWords(device, seconds), { timeoutMs: SLOW_MS });
    const requests = (): Promise<number> => bench.writeRequests('v');
    const earlier = await requests();
    await until('the first writes', 30_000, async () => (await requests()) > earlier + 20);
    await trouble();
    const { status, stdout, stderr } = await load;
    assert.equal(status, 0, `fio: ${stdout}${stderr}`);
    const job = jobOf(stdout);
    assert.equal(job.error, 0);
    assert.deepEqual(await log.errors(), []);
    const pauseMs = Math.max(job.write.clat_ns.max, job.read.clat_ns.max) / 1e6;
    console.log(`longest pause, ${what}: ${(pauseMs / 1000).toFixed(1)} s`);
    assert.equal((await bench.device('v'))?.liveConnections, 1);
  }

  it('goes on when the daemon was killed and started again', async () => {
    await through('daemon killed and started', async () => {
      await bench.killDaemon();
      await bench.startDaemon();
    });
  });

  it('goes on over an upgrade of the daemon: ordered stop, start', async () => {
    await through('daemon stopped and started', async () => {
      assert.equal(await bench.stopDaemon(), 0);
      await bench.startDaemon();
    });
  });

  it('goes on when the node was killed and started again', async () => {
    await through('node killed and started', async () => {
      await bench.killNode();
      await bench.startNode();
    });
  });

  it('goes on when both were killed', async () => {
    await through('both killed and started', async () => {
      await bench.killDaemon();
      await bench.killNode();
      await bench.startNode();
      await bench.startDaemon();
    });
  });

  it('goes on after 20 seconds without the node', async () => {
    await through(
      'node silent for 20 s',
      async () => {
        bench.node.signal('SIGSTOP');
        await new Promise((resolve) => setTimeout(resolve, SILENCE_MS));
        bench.node.signal('SIGCONT');
      },
      LOAD_SECONDS + SILENCE_MS / 1000,
    );
  });
});

interface FioJob {
  readonly error: number;
  readonly read: { readonly clat_ns: { readonly max: number } };
  readonly write: { readonly clat_ns: { readonly max: number } };
}

/** Direct writes with checksums, each read back soon after, and flushes between them. */
function fioWords(device: string, seconds: number): string[] {
  return [
    ...['--name=job', `--filename=${device}`, '--ioengine=libaio', '--direct=1', '--rw=randwrite'],
    ...[
      '--bs=4k',
      '--iodepth=8',
      '--size=32M',
      '--fsync=32',
      '--time_based',
      `--runtime=${seconds}`,
    ],
    ...[
      '--verify=crc32c',
      '--verify_fatal=1',
      '--verify_state_save=0',
      '--verify_backlog=64',
      '--output-format=json',
    ],
  ];
}

function jobOf(output: string): FioJob {
  const { jobs } = JSON.parse(output.slice(output.indexOf('{'))) as { jobs: FioJob[] };
  return jobs[0]!;
}
