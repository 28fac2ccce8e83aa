/**
 * The installed units under a real systemd: what starts when, as whom, and what a guest's writes go through
 * when services are stopped, killed, or hang. systemd runs in namespaces (systemd-host.ts), so this takes
 * root; elsewhere it is skipped.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { submitAsync } from '#daemon/block/block-device.js';
import { joined, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { NbdClient } from '#test/support/nbd-client.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { SystemdHost } from './systemd-host.js';

const INSTALL = fileURLToPath(new URL('../../../scripts/install', import.meta.url));

const DAEMON = 'blkferryd.service';
const NODE = 'blkferry-node.service';
const BLOCK_BYTES = 4096;

/** linux/capability.h, as in the unit: SYS_ADMIN, SYS_RESOURCE, SYS_PTRACE, DAC_OVERRIDE. */
const DAEMON_CAPABILITIES = [21, 24, 19, 1];

const folder = temporaryFolder();
const destdir = path.join(folder, 'destdir');

/** Or why there is none. */
let started: SystemdHost | string = 'not started';

/** Of the test's own, where systemd runs: a guest that needs its disk for as long as it runs. */
const GUEST = `[Unit]
PartOf=boot.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c "systemctl is-active blkferryd >/run/guest-began"
ExecStop=/bin/sh -c "systemctl is-active blkferryd >/run/guest-ended"
`;

/** What a boot starts and a shutdown stops, each in one transaction. */
const BOOT = 'boot.target';

before(async () => {
  const { status, stderr } = spawnSync(INSTALL, ['--destdir', destdir], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  started = await SystemdHost.start(destdir, folder);
  if (typeof started === 'string') return;
  for (const name of ['blkferryd', 'blkferry-node']) {
    // There is no journal there.
    const outputs = `StandardOutput=append:/run/${name}.out\nStandardError=append:/run/${name}.err`;
    const text = `[Unit]\nPartOf=${BOOT}\n[Service]\n${outputs}\n`;
    await started.writeUnit(`${name}.service.d/test.conf`, text);
  }
  await started.writeUnit('xendomains.service', GUEST);
  await started.writeUnit(BOOT, `[Unit]\nWants=xendomains.service ${DAEMON} ${NODE}\n`);
});

after(async () => {
  if (typeof started !== 'string') await started.stop();
});

/** A test that is skipped where systemd cannot be had. */
function on(name: string, work: (host: SystemdHost) => Promise<void>): void {
  it(name, async (t) => {
    if (typeof started === 'string') t.skip(started);
    else await work(started);
  });
}

interface LogRecord {
  readonly event: string;
  /** ISO 8601. */
  readonly time: string;
}

/** What the program logged, over all its runs. */
function logOf(host: SystemdHost, name: string): LogRecord[] {
  const lines = fs.readFileSync(host.at(`/run/${name}.err`), 'utf8').split('\n');
  const records = lines.filter((line) => line.startsWith('{'));
  return records.map((line) => JSON.parse(line) as LogRecord);
}

function countOf(host: SystemdHost, name: string, event: string): number {
  return logOf(host, name).filter((record) => record.event === event).length;
}

async function blkferry(host: SystemdHost, ...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await host.run('blkferry', ...words);
  assert.equal(status, 0, stderr);
  return stdout;
}

async function withDisk<Value>(
  host: SystemdHost,
  work: (client: NbdClient) => Promise<Value>,
): Promise<Value> {
  const socketPath = host.at('/run/blkferry/nbd.sock');
  const client = await NbdClient.connect({ socketPath, exportName: 'disk0' });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** Answered, and not flushed. */
async function write(host: SystemdHost, block: number, fill: number): Promise<void> {
  const request = writeRequest(block * BLOCK_BYTES, Buffer.alloc(BLOCK_BYTES, fill));
  const { error } = await withDisk(host, (client) => submitAsync(client, request));
  assert.equal(error, undefined);
}

async function assertContent(host: SystemdHost, block: number, fill: number): Promise<void> {
  const request = readRequest(block * BLOCK_BYTES, BLOCK_BYTES);
  const { payload } = await withDisk(host, (client) => submitAsync(client, request));
  assert.deepEqual(joined(payload), Buffer.alloc(BLOCK_BYTES, fill));
}

async function microseconds(host: SystemdHost, unit: string, property: string): Promise<number> {
  return Number(await host.show(unit, `${property}TimestampMonotonic`));
}

describe('the services under systemd', () => {
  on(
    'begin in this order: node, daemon, guests; each when the one before is ready',
    async (host) => {
      await host.systemctl('start', BOOT);
      await host.until('xendomains.service', 'ActiveState', /^active$/);
      assert.match(await blkferry(host, 'status'), /^127.0.0.1:7600 +up/m);
      const nodeReady = await microseconds(host, NODE, 'ActiveEnter');
      assert.ok(nodeReady <= (await microseconds(host, DAEMON, 'ExecMainStart')));
      assert.equal(fs.readFileSync(host.at('/run/guest-began'), 'utf8'), 'active\n');
    },
  );

  on('say what they do', async (host) => {
    assert.equal(await host.show(DAEMON, 'StatusText'), 'ready; nothing is attached');
    await blkferry(host, 'volume', 'create', 'disk0', '8M');
    await blkferry(host, 'attach', 'disk0');
    await host.until(DAEMON, 'StatusText', /^1 volume attached: 1 active$/);
    await host.until(NODE, 'StatusText', /^1 volume, 1 session open$/);
  });

  on('run as whom they should, with the rights they need and no others', async (host) => {
    const node = await host.statusOf(NODE);
    assert.notEqual(node.get('Uid')?.split('\t')[0], '0');
    assert.equal(BigInt(`0x${node.get('CapBnd') ?? ''}`), 0n);
    const daemon = await host.statusOf(DAEMON);
    const allowed = DAEMON_CAPABILITIES.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);
    assert.equal(BigInt(`0x${daemon.get('CapBnd') ?? ''}`) & ~allowed, 0n);
    for (const status of [node, daemon]) {
      assert.equal(status.get('NoNewPrivs'), '1');
      assert.equal(status.get('Seccomp'), '2');
    }
  });

  on('keep their folders from everybody else', (host) => {
    for (const place of ['/run/blkferry', '/var/lib/blkferry/daemon', '/var/lib/blkferry/node']) {
      assert.equal(fs.statSync(host.at(place)).mode & 0o777, 0o700, place);
    }
    return Promise.resolve();
  });

  on('satisfy the doctor', async (host) => {
    const { stdout } = await host.run('blkferry', 'doctor', '--json');
    const { findings } = JSON.parse(stdout) as { findings: { name: string; level: string }[] };
    const levels = (name: string): string[] =>
      findings.filter((finding) => finding.name === name).map(({ level }) => level);
    // Not enabled: a warning each.
    assert.deepEqual(levels('systemd'), ['ok', 'warning', 'ok', 'warning']);
    for (const name of ['settings', 'daemon', 'replay logs', 'attachments', 'nodes']) {
      assert.deepEqual(levels(name), ['ok'], name);
    }
  });
});

describe('the daemon under systemd', () => {
  on('comes back by itself after SIGKILL, with every answered write', async (host) => {
    await write(host, 1, 0x11);
    await host.systemctl('kill', '--signal=KILL', DAEMON);
    await host.until(DAEMON, 'NRestarts', /^1$/);
    await host.until(DAEMON, 'ActiveState', /^active$/);
    await assertContent(host, 1, 0x11);
  });

  on(
    'is left alone by the watchdog while its event loop turns, and ended when it hangs',
    async (host) => {
      await host.writeUnit(`${DAEMON}.d/watchdog.conf`, '[Service]\nWatchdogSec=3s\n');
      await host.systemctl('restart', DAEMON);
      const since = await microseconds(host, DAEMON, 'ActiveEnter');
      while ((await microseconds(host, DAEMON, 'Watchdog')) < since + 4_000_000) {
        assert.equal(await host.show(DAEMON, 'NRestarts'), '0');
      }
      await write(host, 2, 0x22);
      // A stopped process is one whose event loop does not turn.
      await host.systemctl('kill', '--signal=STOP', DAEMON);
      await host.until(DAEMON, 'NRestarts', /^1$/);
      await host.until(DAEMON, 'ActiveState', /^active$/);
      await assertContent(host, 2, 0x22);
      await host.writeUnit(`${DAEMON}.d/watchdog.conf`, '[Service]\n');
    },
  );

  on('is never given up, and is there as soon as its settings are right', async (host) => {
    const settings = host.at('/etc/blkferry/blkferryd.toml');
    const former = fs.readFileSync(settings);
    fs.writeFileSync(settings, 'queue_depth = 0\n');
    await assert.rejects(host.systemctl('restart', DAEMON), /failed/);
    // systemd's own limit would be five starts in ten seconds.
    await host.until(DAEMON, 'NRestarts', /^([6-9]|\d\d+)$/);
    fs.writeFileSync(settings, former);
    await host.until(DAEMON, 'ActiveState', /^active$/);
  });

  on('may take longer to stop than its unit says, and leaves its replay log', async (host) => {
    const settings = host.at('/etc/blkferry/blkferryd.toml');
    fs.writeFileSync(settings, 'shutdown_timeout = "3s"\n');
    await host.writeUnit(`${DAEMON}.d/stop.conf`, '[Service]\nTimeoutStopSec=1s\n');
    await host.systemctl('restart', DAEMON);
    await write(host, 3, 0x33);
    await host.systemctl('kill', '--signal=STOP', NODE);
    await host.systemctl('stop', DAEMON);
    assert.equal(await host.show(DAEMON, 'Result'), 'success');
    const begun = await microseconds(host, DAEMON, 'ActiveExit');
    const ended = await microseconds(host, DAEMON, 'InactiveEnter');
    assert.ok(ended - begun > 2_000_000, `${ended - begun} µs`);
    assert.equal(countOf(host, 'blkferryd', 'stopped_unflushed'), 1);
    assert.equal(fs.readdirSync(host.at('/run/blkferry/replay')).length, 1);
  });

  on('brings back what the node lost meanwhile', async (host) => {
    await host.systemctl('kill', '--signal=KILL', NODE);
    await host.until(NODE, 'NRestarts', /^1$/);
    await host.until(NODE, 'ActiveState', /^active$/);
    const data = findFile(host.at('/var/lib/blkferry/node'), 8 * 1024 * 1024);
    const file = fs.openSync(data, 'r+');
    fs.writeSync(file, Buffer.alloc(BLOCK_BYTES, 0xee), 0, BLOCK_BYTES, 3 * BLOCK_BYTES);
    fs.closeSync(file);
    await host.systemctl('start', DAEMON);
    await assertContent(host, 3, 0x33);
  });

  on('holds guests back after a boot until what they use is there', async (host) => {
    await host.systemctl('stop', BOOT);
    await host.until(NODE, 'ActiveState', /^inactive$/);
    fs.rmSync(host.at('/run/guest-began'));
    // A node that comes later than the daemon, as one on another machine may.
    await host.writeUnit(BOOT, `[Unit]\nWants=xendomains.service ${DAEMON}\n`);
    await host.systemctl('start', '--no-block', BOOT);
    await host.until(DAEMON, 'StatusText', /^1 volume attached: 1 connecting$/);
    assert.equal(await host.show(DAEMON, 'ActiveState'), 'activating');
    assert.ok(!fs.existsSync(host.at('/run/guest-began')));
    await host.systemctl('start', NODE);
    await host.until('xendomains.service', 'ActiveState', /^active$/);
    assert.equal(await host.show(DAEMON, 'StatusText'), '1 volume attached: 1 active');
    await assertContent(host, 3, 0x33);
  });

  on('ends after the guests and before its node, with everything flushed', async (host) => {
    await write(host, 4, 0x44);
    const unflushed = countOf(host, 'blkferryd', 'stopped_unflushed');
    await host.systemctl('stop', BOOT);
    await host.until(NODE, 'ActiveState', /^inactive$/);
    assert.equal(fs.readFileSync(host.at('/run/guest-ended'), 'utf8'), 'active\n');
    assert.equal(countOf(host, 'blkferryd', 'stopped_unflushed'), unflushed);
    const daemonEnd = logOf(host, 'blkferryd').at(-1);
    const [nodeAsked, nodeEnd] = logOf(host, 'blkferry-node').slice(-2);
    assert.deepEqual([daemonEnd?.event, nodeEnd?.event], ['stopped', 'stopped']);
    assert.equal(nodeAsked?.event, 'stop_requested');
    assert.ok((daemonEnd?.time ?? '') <= nodeAsked.time);
  });

  on('go on with TLS, from the files that the README has made and laid down', async (host) => {
    const at = '/etc/blkferry';
    await blkferry(host, 'pki', 'init', `${at}/ca`);
    const issue = ['pki', 'issue', '--ca', `${at}/ca`];
    const nodeNames = ['--name', 'node-a', '--host', '127.0.0.1', '--role', 'node'];
    await blkferry(host, ...issue, ...nodeNames, `${at}/node-tls`);
    await blkferry(host, ...issue, '--name', 'dom0-1', '--role', 'daemon', `${at}/tls`);
    const tls = (place: string): string =>
      ['certificate = "DIR/cert.pem"', 'key = "DIR/key.pem"', 'ca = "DIR/ca.pem"']
        .map((line) => `${line.replace('DIR', place)}\n`)
        .join('');
    const rule = 'clients = ["dom0-*"]\nvolumes = ["disk*"]\nrights = ["write"]';
    fs.writeFileSync(host.at(`${at}/access.toml`), `[[rule]]\n${rule}\n`);
    fs.writeFileSync(
      host.at(`${at}/blkferry-node.toml`),
      `access_file = "${at}/access.toml"\n[tls]\n${tls(`${at}/node-tls`)}`,
    );
    fs.writeFileSync(host.at(`${at}/blkferryd.toml`), `[tls]\n${tls(`${at}/tls`)}`);
    const { status } = await host.run('chown', '-R', 'blkferry-node', `${at}/node-tls`);
    assert.equal(status, 0);
    await host.systemctl('start', NODE, DAEMON);
    await host.until(DAEMON, 'StatusText', /^1 volume attached: 1 active$/);
    await assertContent(host, 4, 0x44);
    // As root of this machine, with the daemon's certificate.
    assert.match(await blkferry(host, 'status'), /^127.0.0.1:7600 +up +1 +1 /m);
  });
});

/** The only file below a folder with this many bytes. */
function findFile(directory: string, sizeBytes: number): string {
  const names = fs.readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const found = names
    .map((name) => path.join(directory, name))
    .filter((file) => fs.statSync(file).isFile() && fs.statSync(file).size === sizeBytes);
  assert.equal(found.length, 1);
  return found[0]!;
}
