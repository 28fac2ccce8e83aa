/**
 * The daemon as its systemd unit runs it, with a device of the kernel: nothing that the unit takes away is
 * needed for one. systemd runs in namespaces (systemd-host.ts) of a machine whose kernel has nbd.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SystemdHost } from '#test/integration/systemd-host.js';
import { runSuccessfully } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { KernelLog, SLOW_MS, missingNbd, until } from './device-bench.js';

const INSTALL = fileURLToPath(new URL('../../../../scripts/install', import.meta.url));
const DAEMON = 'blkferryd.service';
const NODE = 'blkferry-node.service';
const DEVICE = '/dev/blkferry/disk0';
const MIB = 1024 * 1024;

const folder = temporaryFolder();
let host: SystemdHost;

async function blkferry(...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await host.run('blkferry', ...words);
  assert.equal(status, 0, stderr);
  return stdout;
}

function logOf(name: string): string {
  return fs.readFileSync(host.at(`/run/${name}.err`), 'utf8');
}

/** With the page cache out of the way, so that the device is asked. */
async function copyBytes(from: string, to: string, flag: string): Promise<void> {
  const words = [`if=${from}`, `of=${to}`, 'bs=64k', 'count=16', flag];
  await runSuccessfully('dd', words, { timeoutMs: SLOW_MS });
}

describe('the daemon as a service, with a device', { skip: missingNbd() }, () => {
  const written = path.join(folder, 'written');
  const kernelLog = missingNbd() === false ? new KernelLog() : undefined;

  before(async () => {
    const destdir = path.join(folder, 'destdir');
    await runSuccessfully(INSTALL, ['--destdir', destdir], { timeoutMs: SLOW_MS });
    const started = await SystemdHost.start(destdir, folder, { sharesNetwork: true });
    if (typeof started === 'string') throw new Error(started);
    host = started;
    for (const name of ['blkferryd', 'blkferry-node']) {
      // There is no journal there. An emulated processor takes longer than a watchdog waits.
      const outputs = `StandardOutput=append:/run/${name}.out\nStandardError=append:/run/${name}.err`;
      const text = `[Service]\n${outputs}\nWatchdogSec=0\n`;
      await host.writeUnit(`${name}.service.d/test.conf`, text);
    }
    await host.systemctl('start', NODE, DAEMON);
    fs.writeFileSync(written, Buffer.alloc(MIB, 'blkferry '));
  });

  after(async () => {
    await host.stop();
  });

  it('is protected from memory pressure: nothing that it wanted was withheld', async () => {
    assert.match(logOf('blkferryd'), /"memory_pressure_prepared".*"left":\[\]/);
    assert.equal(await host.show(DAEMON, 'MemorySwapMax'), '0');
    assert.equal(await host.show(DAEMON, 'OOMScoreAdjust'), '-900');
  });

  it('makes one, and what is written to it is there', async () => {
    await blkferry('volume', 'create', 'disk0', '8M');
    assert.match(await blkferry('attach', 'disk0', '--device'), /\/dev\/blkferry\/disk0/);
    await copyBytes(written, DEVICE, 'oflag=direct');
    const copy = path.join(folder, 'read');
    await copyBytes(DEVICE, copy, 'iflag=direct');
    assert.ok(fs.readFileSync(copy).equals(fs.readFileSync(written)));
  });

  it('is upgraded under it: stopped, started, and nobody sees an error', async () => {
    await host.systemctl('stop', DAEMON);
    const waiting = copyBytes(DEVICE, path.join(folder, 'waited'), 'iflag=direct');
    await host.systemctl('start', DAEMON);
    await waiting;
    assert.ok(fs.readFileSync(path.join(folder, 'waited')).equals(fs.readFileSync(written)));
    assert.match(logOf('blkferryd'), /"device_adopted"/);
    assert.deepEqual(await kernelLog?.errors(), []);
  });

  it('says who has it open, and takes it away when nobody does', async () => {
    await host.writeUnit(
      'opener.service',
      `[Service]\nExecStart=/bin/sleep infinity\nStandardInput=file:${DEVICE}\n`,
    );
    await host.systemctl('start', 'opener');
    const { status, stderr } = await host.run('blkferry', 'detach', 'disk0');
    assert.notEqual(status, 0);
    assert.match(stderr, /open in sleep/);
    await host.systemctl('stop', 'opener');
    await blkferry('detach', 'disk0');
    await until('the end of the device', 10_000, () => !fs.existsSync(DEVICE));
  });
});
