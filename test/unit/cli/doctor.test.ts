/**
 * Goal: the doctor finds each thing that keeps guests from their volumes, says it with the remedy, and stays
 * quiet about a machine on which all is well. The machine is in memory: a Dom0 without a fault, from which
 * each test takes one thing. Here: the daemon and its nodes; doctor-machine.test.ts is what is around them.
 */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { DoctorWorld } from './doctor-world.js';
import { attachment } from './fake-daemon.js';
import { BLOCK_SCRIPT, type FakeMachine } from './fake-machine.js';
import { widthOf } from './fake-surroundings.js';

let world: DoctorWorld;
let machine: FakeMachine;

beforeEach(() => {
  world = new DoctorWorld();
  machine = world.machine;
});

describe('blkferry doctor', () => {
  it('says of a machine without a fault what it saw, nothing else, and ends with 0', async () => {
    world.daemon.attachments = [attachment()];
    const { exitCode, stdout } = await world.doctor();
    assert.equal(exitCode, 0);
    assert.match(stdout, /\nall is well\n$/);
    const levels = new Set(
      stdout
        .split('\n')
        .slice(0, -3)
        .map((line) => line.split(' ')[0]),
    );
    assert.deepEqual([...levels], ['ok']);
    for (const words of [
      'kernel: Linux 6.12.9-amd64',
      'add-on: the native add-on is loaded',
      'nbd module: loaded',
      'nbd netlink: answers; 1 of 2 devices connected',
      'udev: the rules are in /usr/lib/udev/rules.d',
      'systemd: blkferryd is active, enabled',
      'daemon: blkferryd 0.1.0 answers at unix:/run/blkferry/admin.sock',
      'block devices: blkferryd can make them',
      'replay logs: /run/blkferry is in memory, 1 GiB free',
      'attachments: 1 active',
      'nodes: 127.0.0.1:7600 answers: blkferry-node 0.1.0, 0 volumes',
      'xen: this is Dom0 of Xen 4.17',
      'xen-blkback: loaded',
      `block script: ${BLOCK_SCRIPT} is installed`,
    ]) {
      assert.ok(stdout.includes(`ok       ${words}`), `${words}\n${stdout}`);
    }
  });

  it('stays within 80 columns on a terminal, each remedy below its finding', async () => {
    world.stdoutColumns = 80;
    machine.remove('/sys/module/nbd');
    machine.files.delete(BLOCK_SCRIPT);
    const { stdout } = await world.doctor();
    assert.ok(widthOf(stdout) <= 80, stdout);
    assert.match(stdout, /^warning {2}nbd module: .*\n {9}→ modprobe nbd$/m);
  });

  it('prints all of it as one document with --json', async () => {
    machine.remove('/sys/module/nbd');
    const { stdout } = await world.doctor('', '--json');
    const document = JSON.parse(stdout) as {
      problems: number;
      warnings: number;
      findings: object[];
    };
    assert.equal(document.problems, 0);
    assert.equal(document.warnings, 1);
    assert.deepEqual(
      document.findings.filter((finding) => 'name' in finding && finding.name === 'nbd module'),
      [
        {
          name: 'nbd module',
          level: 'warning',
          sentence: 'not loaded: volumes get no block devices',
          fix: 'modprobe nbd',
        },
      ],
    );
  });

  it('changes nothing: it only asks', async () => {
    await world.doctor();
    assert.deepEqual(world.daemon.attachRequests, []);
    assert.deepEqual(world.daemon.detachRequests, []);
    assert.ok(machine.programsRun.every((line) => line.startsWith('systemctl show ')));
  });

  it('tells somebody who is not root that some things may be hidden', async () => {
    machine.userId = 1000;
    await world.saysNote(/^note {5}user: not root: .*\n {9}→ sudo blkferry doctor$/m);
  });
});

describe('blkferry doctor, about the daemon', () => {
  it('says every setting that is wrong, with the file', async () => {
    const { exitCode, stdout } = await world.doctor('queue_depth = 0\nspeed = "high"\n');
    assert.equal(exitCode, 1);
    assert.match(stdout, /^problem {2}settings: .*queue_depth.*\n +→ correct .*blkferryd.toml/m);
    assert.match(stdout, /^problem {2}settings: .*speed/m);
    assert.match(stdout, /\n2 problems\n$/);
  });

  it('says when it does not answer', async () => {
    world.daemon.away = new StorageError('unavailable', 'no daemon answers at unix:/x: gone');
    await world.saysProblem(
      /^problem {2}daemon: no daemon answers .*\n +→ systemctl start blkferryd;/m,
    );
  });

  it('does not miss it on a machine that only keeps volumes', async () => {
    world.daemon.away = new StorageError('unavailable', 'no daemon answers at unix:/x: gone');
    machine.setUnit('blkferryd.service', { ActiveState: 'inactive', UnitFileState: 'disabled' });
    await world.saysNote(/^note {5}daemon: none runs here: this machine keeps volumes/m);
  });

  it('sends a user who may not ask it to root', async () => {
    machine.userId = 1000;
    const sentence = 'no daemon answers at unix:/x: permission denied on the socket file';
    world.daemon.away = new StorageError('unavailable', sentence);
    await world.saysProblem(/permission denied.*\n +→ run it as root: sudo blkferry doctor/);
  });

  it('says when daemon and command are of different versions', async () => {
    const getDaemon = world.daemon.getDaemon.bind(world.daemon);
    world.daemon.getDaemon = async () => ({ ...(await getDaemon()), version: '0.0.9' });
    await world.saysWarning(
      /blkferryd 0.0.9 answers at .*, and this command is 0.1.0\n +→ systemctl restart/,
    );
  });

  it('says why the daemon makes no block devices', async () => {
    world.daemon.deviceProblem = 'the kernel module nbd is not loaded; run: modprobe nbd';
    await world.saysWarning(/^warning {2}block devices: the kernel module nbd is not loaded/m);
    await world.saysProblem(/^problem {2}block devices: /m, 'device.mode = "kernel"');
  });

  it('says when the replay logs are not in memory, or may not fit', async () => {
    machine.fileSystems.set('/run/blkferry', { type: 0xef53, freeBytes: 1024 ** 3 });
    await world.saysWarning(/^warning {2}replay logs: \/run\/blkferry is not on tmpfs/m);
    machine.fileSystems.set('/run/blkferry', { type: 0x0102_1994, freeBytes: 100 * 1024 ** 2 });
    world.daemon.attachments = ['v1', 'v2'].map((exportName) => attachment({ exportName }));
    await world.saysWarning(/has 100 MiB free, and the attachments may log 128 MiB/);
  });

  it('does not count read-only attachments: they log nothing', async () => {
    machine.fileSystems.set('/run/blkferry', { type: 0x0102_1994, freeBytes: 1024 });
    world.daemon.attachments = [attachment({ readOnly: true })];
    const { stdout } = await world.doctor();
    assert.match(stdout, /\nall is well\n$/);
  });
});

describe('blkferry doctor, about what is attached', () => {
  it('says what is wrong with each attachment, and what its state means', async () => {
    const cases = [
      ['holding', 'warning', /bring node .* back; requests wait for it, and fail after 2m/],
      ['connecting', 'warning', /look whether node 127.0.0.1:7600 is running/],
      ['failing', 'problem', /until then requests fail with EIO/],
      ['fenced', 'problem', /another writer has v1; here: blkferry detach --force v1/],
    ] as const;
    for (const [state, level, fix] of cases) {
      world.daemon.attachments = [attachment({ state, detail: 'because' })];
      const { exitCode, stdout } = await world.doctor();
      assert.match(stdout, new RegExp(`^${level} +attachments: v1 is ${state}: because$`, 'm'));
      assert.match(stdout, fix);
      assert.equal(exitCode, level === 'problem' ? 1 : 0);
    }
  });

  it('says which devices lack sockets or a name', async () => {
    const device = {
      path: '/dev/nbd3',
      link: '/dev/blkferry/v1',
      major: 43,
      minor: 96,
      connections: 2,
      blockBytes: 512,
      liveConnections: 1,
    };
    world.daemon.attachments = [attachment({ device })];
    await world.saysWarning(/\/dev\/nbd3 of v1 has 1 of 2 sockets to blkferryd/);
    world.daemon.attachments = [
      attachment({ device: { ...device, liveConnections: 2, link: '' } }),
    ];
    await world.saysWarning(/\/dev\/nbd3 of v1 has no name in \/dev\/blkferry/);
  });

  it('names what is on a node that is away, and only warns of a default node nobody uses', async () => {
    world.node.away = new StorageError('unavailable', 'no node answers at 127.0.0.1:7600: gone');
    await world.saysWarning(/^warning {2}nodes: no node answers .* nothing attached is on it$/m);
    world.daemon.attachments = [attachment(), attachment({ exportName: 'v2' })];
    await world.saysProblem(/^problem {2}nodes: no node answers .*; it keeps v1, v2$/m);
  });

  it('says when a node runs out of room', async () => {
    const getNode = world.node.getNode.bind(world.node);
    const withFree = (freeBytes: number): void => {
      world.node.getNode = async () => ({ ...(await getNode()), freeBytes });
    };
    withFree(2 * 1024 ** 3);
    await world.saysWarning(/127.0.0.1:7600 has 2 GiB of 100 GiB free\n +→ make room there/);
    withFree(100 * 1024 ** 2);
    await world.saysProblem(/127.0.0.1:7600 has 100 MiB of 100 GiB free/);
  });

  it('asks nodes on other machines if the settings allow plain text', async () => {
    const remote = '192.0.2.7:7600';
    world.daemon.attachments = [attachment({ node: remote })];
    const asked = (): boolean => world.nodeOptions.some(({ address }) => address === remote);
    await world.doctor();
    assert.equal(asked(), false);
    await world.doctor('insecure = true');
    assert.equal(asked(), true);
  });
});

describe('encryption', () => {
  const DAY_MS = 24 * 60 * 60 * 1000;
  const TLS = 'tls = { certificate = "/c.pem", key = "/k.pem", ca = "/a.pem" }\n';

  it('is a warning where plain text is allowed beyond a machine', async () => {
    world.daemon.protection = { insecure: true, certificateValidToMs: 0 };
    await world.saysWarning(/encryption: blkferryd allows plain text beyond its machine/);
    world.daemon.protection = { insecure: false, certificateValidToMs: 0 };
    world.node.protection = { insecure: true, certificateValidToMs: 0 };
    await world.saysWarning(/encryption: node 127\.0\.0\.1:7600 allows plain text/);
  });

  it('is a warning two weeks before a certificate ends, and a problem after it', async () => {
    const nowMs = machine.wallClockMs();
    world.node.protection = { insecure: false, certificateValidToMs: nowMs + 14 * DAY_MS };
    await world.saysWarning(/the certificate of node 127\.0\.0\.1:7600 expires in 14 days/);
    world.node.protection = { insecure: false, certificateValidToMs: nowMs };
    await world.saysProblem(/the certificate of node 127\.0\.0\.1:7600 has expired on 2027-01-31/);
  });

  it('is a problem when the files in the settings cannot be used', async () => {
    const { stdout } = await world.doctor(TLS);
    assert.match(stdout, /encryption: \/c\.pem and what belongs to it can be used/);
    machine.tlsFailure = 'tls.key: /k.pem is not the key of the certificate in /c.pem';
    await world.saysProblem(/encryption: tls\.key: \/k\.pem is not the key/, TLS);
  });

  it('asks nodes with the certificate of the daemon', async () => {
    await world.doctor(TLS);
    assert.equal(world.nodeOptions.at(-1)?.tls?.certificate, '/c.pem');
  });
});
