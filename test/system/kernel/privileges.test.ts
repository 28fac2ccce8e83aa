/**
 * Which capabilities blkferryd needs: with those that its unit grants everything works, and each of them is
 * taken away once to see what fails. The unit's comment is the table of this.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createAdminClient, type AdminClient } from '#daemon/cli/admin-client.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import { attachRequest } from '#test/support/attach-request.js';
import { RunningProgram, runProgram } from '#test/support/program.js';
import { SLOW_MS, missingNbd } from './device-bench.js';

const PROGRAMS = fileURLToPath(new URL('../../../../daemon/dist/program/', import.meta.url));
const UNIT = fileURLToPath(
  new URL('../../../../scripts/systemd/blkferryd.service', import.meta.url),
);
const MIB = 1024 * 1024;

/** Nobody: a user whose files and sockets are not root's. */
const OTHER_USER = 65_534;

/** What is tried, in this order, and what came of it: 'works' or a sentence. */
type Findings = Record<string, string>;

async function tried(work: () => Promise<string | undefined>): Promise<string> {
  try {
    return (await work()) ?? 'works';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('the capabilities of blkferryd', { skip: missingNbd() }, () => {
  const folder = path.join(os.tmpdir(), `blkferry-test-${randomUUID().slice(0, 8)}`);
  const nodeAddress = `unix:${path.join(folder, 'node', 'node.sock')}`;
  let node: RunningProgram;
  let runs = 0;

  before(async () => {
    fs.mkdirSync(path.join(folder, 'node'), { recursive: true });
    fs.chownSync(path.join(folder, 'node'), OTHER_USER, OTHER_USER);
    ({ program: node } = await RunningProgram.start(
      'setpriv',
      [
        ...[`--reuid=${OTHER_USER}`, `--regid=${OTHER_USER}`, '--clear-groups'],
        ...['--bounding-set=-all', '--inh-caps=-all', '--no-new-privs', process.execPath],
        ...[path.join(PROGRAMS, 'blkferry-node.js')],
        ...['--data-directory', path.join(folder, 'node', 'data'), '--listen', nodeAddress],
      ],
      { readyLine: /ready: /, timeoutMs: SLOW_MS },
    ));
  });
  after(async () => {
    await node.stop();
    fs.rmSync(folder, { recursive: true });
  });

  /** Starts a daemon as root with these capabilities only, and tries everything that may need one. */
  async function findings(capabilities: readonly string[]): Promise<Findings> {
    runs += 1;
    const home = path.join(folder, `daemon${runs}`);
    fs.mkdirSync(home);
    const kept = ['-all', ...capabilities.map((name) => `+${name}`)].join(',');
    const started = await RunningProgram.start(
      'prlimit',
      [
        // As LimitMEMLOCK= in the unit.
        ...['--memlock=unlimited:unlimited', 'setpriv'],
        ...[`--bounding-set=${kept}`, '--inh-caps=-all', '--no-new-privs'],
        ...[process.execPath, path.join(PROGRAMS, 'blkferryd.js'), '--node', nodeAddress],
        ...['--admin-socket', path.join(home, 'admin.sock')],
        ...['--nbd-socket', path.join(home, 'nbd.sock')],
        ...['--state-directory', path.join(home, 'state')],
        ...['--runtime-directory', path.join(home, 'run')],
      ],
      { readyLine: /ready: /, timeoutMs: SLOW_MS, environment: { BLKFERRY_DEVICE_MODE: 'kernel' } },
    );
    const address = `unix:${path.join(home, 'admin.sock')}`;
    const admin = createAdminClient({ address, timeoutMs: SLOW_MS });
    try {
      return await tryEverything(admin, started.program, `volume${runs}`);
    } finally {
      for (const { exportName } of await admin.listAttachments().catch(() => [])) {
        await admin.detach({ exportName, force: true }).catch(() => undefined);
      }
      admin.close();
      await started.program.stop();
    }
  }

  async function tryEverything(
    admin: AdminClient,
    daemon: RunningProgram,
    volume: string,
  ): Promise<Findings> {
    const storage = createGrpcStorageClient({
      address: nodeAddress,
      callTimeoutMs: SLOW_MS,
      sessionTimes: { openTimeoutMs: SLOW_MS, probeIntervalMs: 1000, probeTimeoutMs: SLOW_MS },
      insecure: false,
      clock: SYSTEM_CLOCK,
    });
    const record = daemon
      .stderr()
      .split('\n')
      .find((line) => line.includes('"memory_pressure_prepared"'));
    const { left } = JSON.parse(record ?? '{"left":["nothing was said"]}') as { left: string[] };
    const found: Findings = { 'memory pressure': left.length === 0 ? 'works' : left.join('; ') };
    try {
      await storage.createVolume({ name: volume, sizeBytes: 16 * MIB, blockBytes: 0, backend: '' });
      const request = attachRequest(volume, { device: 'kernel' });
      let device = '';
      found['attach'] = await tried(async () => {
        device = (await admin.attach(request)).attachment.device?.path ?? '';
        return device === '' ? 'no device' : undefined;
      });
      if (device === '') return found;
      const name = path.basename(device);
      found['link'] = fs.existsSync(`/dev/blkferry/${volume}`) ? 'works' : 'there is none';
      const timer = fs.readFileSync(`/sys/block/${name}/queue/io_timeout`, 'latin1').trim();
      found['request timer'] = timer === '2000' ? 'works' : `is ${timer}`;
      found['write'] = await tried(() => writeTo(device));
      found['resize'] = await tried(async () => {
        await storage.resizeVolume({ name: volume, sizeBytes: 32 * MIB, allowShrink: false });
        const untilMs = performance.now() + SLOW_MS / 4;
        while (fs.readFileSync(`/sys/block/${name}/size`, 'latin1').trim() !== '65536') {
          if (performance.now() > untilMs) return 'the device did not get it';
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        return undefined;
      });
      found['whose it is: root'] = await refusedDetach(admin, volume, device, 0);
      found['whose it is: another user'] = await refusedDetach(admin, volume, device, OTHER_USER);
      found['detach'] = await tried(async () => {
        await admin.detach({ exportName: volume, force: false });
        return undefined;
      });
      return found;
    } finally {
      storage.close();
    }
  }

  async function writeTo(device: string): Promise<string | undefined> {
    const words = ['if=/dev/zero', `of=${device}`, 'bs=64k', 'count=4', 'oflag=direct'];
    const { status, stderr } = await runProgram('dd', words, { timeoutMs: SLOW_MS });
    return status === 0 ? undefined : stderr;
  }

  /** With all rights, as a user's program: whether the refusal names it. */
  async function refusedDetach(
    admin: AdminClient,
    volume: string,
    device: string,
    user: number,
  ): Promise<string> {
    if (!fs.existsSync(device)) return 'was detached before';
    fs.chmodSync(device, 0o666);
    const fd = fs.openSync(device, 'r');
    const holder = spawn('sleep', ['600'], {
      stdio: [fd, 'ignore', 'ignore'],
      uid: user,
      gid: user,
    });
    fs.closeSync(fd);
    const ended = once(holder, 'close');
    try {
      return await tried(async () => {
        try {
          await admin.detach({ exportName: volume, force: false });
          return 'was detached';
        } catch (error) {
          const { message } = error as Error;
          return message.includes(`open in sleep (process ${holder.pid})`) ? undefined : message;
        }
      });
    } finally {
      holder.kill('SIGKILL');
      await ended;
    }
  }

  const granted = capabilitiesOfUnit();

  it('as the unit grants them are enough', async () => {
    const found = await findings(granted);
    assert.deepEqual(
      Object.values(found).filter((one) => one !== 'works'),
      [],
    );
    assert.equal(Object.keys(found).length, 9);
  });

  it('include SYS_ADMIN, without which there is no device', async () => {
    const { attach } = await findings(without('sys_admin'));
    assert.match(attach!, /may not make block devices: that needs CAP_SYS_ADMIN/);
  });

  it('include SYS_RESOURCE, without which the process is not an I/O flusher', async () => {
    const { 'memory pressure': left, ...others } = await findings(without('sys_resource'));
    assert.match(left!, /^not marked as I\/O flusher \(CAP_SYS_RESOURCE/);
    assert.deepEqual([...new Set(Object.values(others))], ['works']);
  });

  it('include SYS_PTRACE, without which a device is detached only by force', async () => {
    const found = await findings(without('sys_ptrace'));
    assert.match(found['whose it is: root']!, /who has \S+ open cannot be seen: .* CAP_SYS_PTRACE/);
  });

  it('include DAC_OVERRIDE, without which the socket of a node is not opened', async () => {
    const { attach } = await findings(without('dac_override'));
    assert.match(attach!, /permission denied on the socket file/);
  });

  function without(name: string): string[] {
    assert.ok(granted.includes(name), `the unit does not grant ${name}`);
    return granted.filter((one) => one !== name);
  }
});

/** In setpriv's words: sys_admin for CAP_SYS_ADMIN. */
function capabilitiesOfUnit(): string[] {
  const unit = fs.readFileSync(UNIT, 'utf8');
  const words = /^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1] ?? '';
  return words.split(' ').map((word) => word.replace(/^CAP_/, '').toLowerCase());
}
