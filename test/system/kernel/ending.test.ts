/**
 * The end of devices: who is refused, what a forced end does to those who use the device, and that many
 * devices leave nothing behind.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { nbdConnect, nbdDisconnect, nbdReconfigure, socketPair } from 'blkferry-kernel';
import { RunningProgram, runProgram, runSuccessfully } from '#test/support/program.js';
import { DeviceBench, SLOW_MS, missingNbd, mounted, until } from './device-bench.js';

const MIB = 1024 * 1024;

/** Fifty in a loop; as hosts with many guests do over a day. */
const CHURN = 50;

/** A forced detach ends within this, whatever its users do: a silent node is given up after 4 s; the rest is emulated. */
const FORCED_LIMIT_MS = 20_000;

function indexOf(device: string): number {
  return Number(/nbd([0-9]+)$/.exec(fs.realpathSync(device))?.[1]);
}

function nbdFolders(): string[] {
  return fs.readdirSync('/sys/block').filter((name) => name.startsWith('nbd'));
}

/** The state of a process as ps shows it, or '' when it is gone. */
function stateOf(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '')[0] ?? '';
  } catch {
    return '';
  }
}

describe('a device that is to end', { skip: missingNbd() }, () => {
  const bench = new DeviceBench();

  before(() => bench.start());
  after(() => bench.stop());

  it('does not while it is mounted, and says where', async () => {
    const device = await bench.newDevice('mounted', 64 * MIB);
    await runSuccessfully('mkfs.ext4', ['-q', device], { timeoutMs: SLOW_MS });
    const where = path.join(bench.folder, 'mnt');
    await mounted(device, where, async () => {
      await assert.rejects(
        bench.detach('mounted'),
        new RegExp(`/dev/blkferry/mounted is in use: mounted at ${where}`),
      );
      fs.writeFileSync(path.join(where, 'still'), 'here');
    });
    await bench.detach('mounted');
  });

  it('does not while a program has it open, and says which', async () => {
    const device = await bench.newDevice('opened', 64 * MIB);
    const fd = fs.openSync(device, 'r');
    try {
      await assert.rejects(
        bench.detach('opened'),
        new RegExp(`open in .* \\(process ${process.pid}\\)`),
      );
    } finally {
      fs.closeSync(fd);
    }
    await bench.detach('opened');
  });

  it('does by force, under I/O, and no process stays in state D', async () => {
    const device = await bench.newDevice('forced', 64 * MIB);
    const words = ['--name=j', `--filename=${device}`, '--ioengine=libaio', '--direct=1'];
    const { program } = await RunningProgram.start('fio', [
      ...[...words, '--rw=randwrite', '--bs=4k', '--iodepth=16', '--size=32M'],
      ...['--time_based', '--runtime=600'],
    ]);
    await until('writes', 30_000, async () => (await bench.writeRequests('forced')) > 50);
    // The worst case: the node does not answer either.
    bench.node.signal('SIGSTOP');
    const startMs = performance.now();
    await bench.detach('forced', true);
    bench.node.signal('SIGCONT');
    const tookMs = performance.now() - startMs;
    console.log(
      `forced detach of a device under load, its node silent: ${(tookMs / 1000).toFixed(1)} s`,
    );
    assert.ok(tookMs < FORCED_LIMIT_MS);
    assert.notEqual(await program.ended(), 0);
    assert.equal(stateOf(program.pid), '');
    await until('the end of the device', 10_000, () => !fs.existsSync(device));
    // It gave up on connections that were silent for so long, this test's among them.
    await until('an answer of the node', 10_000, () => bench.nodeAnswers());
  });

  it('does when somebody else disconnects it; the daemon notices, and detach cleans up', async () => {
    const device = await bench.newDevice('stolen', 64 * MIB);
    await nbdDisconnect(indexOf(device));
    await until(
      'the daemon notices',
      10_000,
      async () => (await bench.device('stolen')) === undefined,
    );
    await bench.detach('stolen');
  });

  it('takes no sockets from anybody but its own daemon', async () => {
    const device = await bench.newDevice('mine', 64 * MIB);
    const [kernelEnd, daemonEnd] = socketPair();
    await assert.rejects(
      nbdReconfigure({
        index: indexOf(device),
        backendIdentifier: 'blkferry:1:other:other:mine',
        socketFds: [kernelEnd],
      }),
      { code: 'EINVAL' },
    );
    fs.closeSync(kernelEnd);
    fs.closeSync(daemonEnd);
    await runSuccessfully('dd', [
      `if=${device}`,
      'of=/dev/null',
      'bs=64k',
      'count=1',
      'iflag=direct',
    ]);
    await bench.detach('mine');
  });

  it(`leaves nothing behind, ${CHURN} times`, async () => {
    await bench.createVolume('churn', 16 * MIB);
    await bench.attach('churn');
    await bench.detach('churn');
    // The kernel takes a device away a moment after its disconnection.
    await until('no devices before', 10_000, () => nbdFolders().length === 0);
    const daemonFds = (): number => fs.readdirSync(`/proc/${bench.daemon.pid}/fd`).length;
    const fds = daemonFds();
    const resident = bench.daemon.residentBytes;
    for (let turn = 0; turn < CHURN; turn += 1) {
      const { link } = await bench.attach('churn');
      assert.ok(fs.existsSync(link));
      await bench.detach('churn');
    }
    await until('no devices after', 10_000, () => nbdFolders().length === 0);
    assert.ok(daemonFds() <= fds + 1, `${daemonFds()} descriptors, ${fds} before`);
    const grownMiB = (bench.daemon.residentBytes - resident) / MIB;
    console.log(
      `the daemon after ${CHURN} devices: ${grownMiB.toFixed(1)} MiB more than after one`,
    );
    assert.ok(grownMiB < 30);
    assert.deepEqual(fs.readdirSync(path.join(bench.folder, 'run/replay')), []);
  });
});

describe('the state of a daemon', { skip: missingNbd() }, () => {
  const bench = new DeviceBench();

  before(() => bench.start());
  after(() => bench.stop());

  it('belongs to one daemon at a time', async () => {
    await assert.rejects(bench.startSecondDaemon(), /another blkferryd/);
  });

  it('that is stale, because the device is gone, leads to a new device', async () => {
    const device = await bench.newDevice('stale', 64 * MIB);
    const index = indexOf(device);
    await bench.killDaemon();
    await nbdDisconnect(index);
    await bench.startDaemon();
    await until('a new device', 20_000, async () => (await bench.device('stale')) !== undefined);
    await runSuccessfully('dd', [
      `if=${device}`,
      'of=/dev/null',
      'bs=64k',
      'count=1',
      'iflag=direct',
    ]);
    await bench.detach('stale');
  });

  it('that is stale, because the number is somebody else’s, leaves that one alone', async () => {
    const device = await bench.newDevice('moved', 64 * MIB);
    const index = indexOf(device);
    await bench.killDaemon();
    await nbdDisconnect(index);
    await until('the end of the device', 10_000, () => !nbdFolders().includes(`nbd${index}`));
    const [kernelEnd, otherEnd] = socketPair();
    // The kernel gives a number away again a moment after the device is gone.
    await until('the number', 10_000, () =>
      nbdConnect({
        ...{ index, sizeBytes: MIB, blockBytes: 512, serverFlags: 1, clientFlags: 1 },
        ...{ requestTimeoutSeconds: 5, deadConnectionTimeoutSeconds: 1 },
        ...{ backendIdentifier: 'somebody-else', socketFds: [kernelEnd] },
      }).then(
        () => true,
        (error: unknown) => {
          assert.equal((error as NodeJS.ErrnoException).code, 'EINVAL');
          return false;
        },
      ),
    );
    fs.closeSync(kernelEnd);
    try {
      await bench.startDaemon();
      await until('a new device', 20_000, async () => (await bench.device('moved')) !== undefined);
      assert.notEqual(indexOf(device), index);
      const backend = fs.readFileSync(`/sys/block/nbd${index}/backend`, 'latin1').trim();
      assert.equal(backend, 'somebody-else');
    } finally {
      fs.closeSync(otherEnd);
      await nbdDisconnect(index);
    }
    await bench.detach('moved');
  });
});

describe('write-back under memory pressure', { skip: missingNbd() }, () => {
  const bench = new DeviceBench();

  before(() => bench.start());
  after(() => bench.stop());

  // Through a file system: only those tell the kernel whose dirty pages they are, so that it slows the
  // writer down. Writers to the naked device fill their cgroup, and the kernel ends them.
  it('completes: a writer in a small cgroup dirties more pages than it may keep', async () => {
    const device = await bench.newDevice('pressure', 256 * MIB);
    await runSuccessfully('mkfs.ext4', ['-q', device], { timeoutMs: SLOW_MS });
    const where = path.join(bench.folder, 'pressure');
    const group = '/sys/fs/cgroup/blkferry-pressure';
    fs.writeFileSync('/sys/fs/cgroup/cgroup.subtree_control', '+memory +io');
    fs.mkdirSync(group);
    try {
      // From `high` on the kernel slows the writer down; at `max`, which dirty pages alone can reach when
      // the device is as slow as an emulated one, it would end it.
      fs.writeFileSync(path.join(group, 'memory.high'), String(32 * MIB));
      fs.writeFileSync(path.join(group, 'memory.max'), String(96 * MIB));
      await mounted(device, where, async () => {
        const script = `echo $$ > ${group}/cgroup.procs && exec dd if=/dev/zero of=${where}/file bs=64k count=2048 conv=fsync`;
        const { status, stderr } = await runProgram('sh', ['-c', script], { timeoutMs: SLOW_MS });
        assert.equal(status, 0, stderr);
        assert.equal(fs.statSync(path.join(where, 'file')).size, 128 * MIB);
      });
    } finally {
      fs.rmdirSync(group);
    }
    const flagged = bench.memoryPressureRecord();
    assert.deepEqual(flagged, [], 'the daemon is an I/O flusher with its memory locked');
    await bench.detach('pressure');
  });
});
