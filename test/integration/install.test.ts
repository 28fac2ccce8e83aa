/**
 * scripts/install into a folder: what is installed works by itself, without the checkout and without a PATH;
 * what is installed again, or removed, touches nothing that is somebody else's.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { RunningProgram, findProgram, runProgram } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const INSTALL = path.join(ROOT, 'scripts/install');

/** The user of those who are nobody, on every Linux. */
const NOBODY = 65_534;

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function install(...words: string[]): Outcome {
  return spawnSync(INSTALL, words, { encoding: 'utf8', timeout: 120_000 });
}

function installed(...words: string[]): string {
  const { status, stdout, stderr } = install(...words);
  assert.equal(status, 0, stderr);
  return stdout;
}

/** Every file, link and folder below one, without those of the program itself. */
function contentOf(folder: string): string[] {
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith('usr/lib/blkferry/'))
    .sort();
}

/** Installed once: an installation takes seconds on a busy machine. */
const destdir = path.join(temporaryFolder(), 'a machine');
const inside = (...parts: string[]): string => path.join(destdir, ...parts);

describe('scripts/install', () => {
  before(() => {
    assert.match(
      installed('--destdir', destdir),
      /^install: blkferry \S+ is installed in .* files/,
    );
  });

  it('puts programs, units, rules, script, settings and completions where they are looked for', () => {
    const rules = fs.existsSync(path.join(ROOT, 'kmod/udev'))
      ? fs.readdirSync(path.join(ROOT, 'kmod/udev')).filter((name) => name.endsWith('.rules'))
      : [];
    for (const file of [
      'usr/bin/blkferry',
      'usr/bin/blkferryd',
      'usr/bin/blkferry-node',
      'usr/lib/systemd/system/blkferryd.service',
      'usr/lib/systemd/system/blkferry-node.service',
      'usr/lib/sysusers.d/blkferry.conf',
      ...rules.map((name) => `usr/lib/udev/rules.d/${name}`),
      'etc/blkferry/blkferryd.toml',
      'etc/blkferry/blkferry-node.toml',
      'etc/xen/scripts/block-blkferry',
      'usr/share/bash-completion/completions/blkferry',
      'usr/share/zsh/site-functions/_blkferry',
      'usr/share/fish/vendor_completions.d/blkferry.fish',
      'usr/share/doc/blkferry/LICENSE',
    ]) {
      assert.ok(fs.existsSync(inside(file)), file);
    }
    const mode = fs.statSync(inside('etc/xen/scripts/block-blkferry')).mode & 0o777;
    assert.equal(mode, 0o755);
  });

  it('leaves no place for a path to be filled in, and none of this checkout', () => {
    const texts = contentOf(destdir).filter((name) => fs.statSync(inside(name)).isFile());
    for (const name of texts) {
      const text = fs.readFileSync(inside(name), 'utf8');
      assert.doesNotMatch(text, /@[A-Z]+@/, name);
      assert.ok(!text.includes(ROOT), name);
      assert.ok(!text.includes(destdir), name);
    }
  });

  it('takes packages for development and their kind along with nothing', () => {
    const packages = fs.readdirSync(inside('usr/lib/blkferry/node_modules'));
    for (const name of ['typescript', 'eslint', 'prettier', 'fast-check', '@types']) {
      assert.ok(!packages.includes(name), name);
    }
    const files = fs.readdirSync(inside('usr/lib/blkferry'), {
      recursive: true,
      encoding: 'utf8',
    });
    assert.deepEqual(
      files.filter((name) => /\.(ts|map|h|c|o)$/.test(name)),
      [],
    );
  });

  it('shows in its settings the defaults of the services, whoever installs', () => {
    const daemon = fs.readFileSync(inside('etc/blkferry/blkferryd.toml'), 'utf8');
    const node = fs.readFileSync(inside('etc/blkferry/blkferry-node.toml'), 'utf8');
    assert.match(daemon, /^# runtime_directory = "\/run\/blkferry"$/m);
    assert.match(daemon, /^# state_directory = "\/var\/lib\/blkferry\/daemon"$/m);
    assert.match(node, /^# data_directory = "\/var\/lib\/blkferry\/node"$/m);
    assert.doesNotMatch(daemon + node, /^[^#\s[]/m);
  });

  it('installs programs that need no PATH: they name their Node', () => {
    const version = (
      JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
        version: string;
      }
    ).version;
    const { stdout } = spawnSync(inside('usr/bin/blkferry'), ['--version'], {
      encoding: 'utf8',
      env: {},
    });
    assert.equal(stdout.trim(), version);
    const script = fs.readFileSync(
      inside('usr/lib/blkferry/daemon/dist/program/blkferryd.js'),
      'utf8',
    );
    assert.match(script, /^#!\/\S+ --initial-old-space-size=\d+\n/);
  });

  it('installs a node and a daemon that work together', async () => {
    const places = temporaryFolder();
    const at = (name: string): string => path.join(places, name);
    const node = await RunningProgram.start(
      inside('usr/bin/blkferry-node'),
      ['--listen', `unix:${at('node.sock')}`, '--data-directory', at('data')],
      { readyLine: /ready/ },
    );
    try {
      const daemon = await RunningProgram.start(
        inside('usr/bin/blkferryd'),
        [
          ...['--node', `unix:${at('node.sock')}`, '--nbd-socket', at('nbd.sock')],
          ...['--admin-socket', at('admin.sock')],
          ...['--state-directory', at('state'), '--runtime-directory', at('run')],
        ],
        { readyLine: /ready/ },
      );
      const environment = {
        BLKFERRY_NODE: `unix:${at('node.sock')}`,
        BLKFERRY_ADMIN_SOCKET: at('admin.sock'),
      };
      const ask = async (...words: string[]): Promise<string> => {
        const finished = await runProgram(inside('usr/bin/blkferry'), words, { environment });
        assert.equal(finished.status, 0, finished.stderr);
        return finished.stdout;
      };
      await ask('volume', 'create', 'disk0', '8M');
      assert.match(await ask('attach', 'disk0'), /nbd\+unix:\/\/\/disk0\?socket=/);
      assert.equal(await daemon.program.stop(), 0);
    } finally {
      await node.program.stop();
    }
  });
});

describe('the units, as systemd reads them', () => {
  const root = temporaryFolder();
  const units = path.join(root, 'usr/lib/systemd/system');
  const analyze = findProgram('systemd-analyze');
  const reason = 'systemd-analyze not installed (Debian: apt-get install systemd)';
  const skip = analyze === undefined ? reason : false;

  before(() => {
    fs.cpSync(destdir, root, { recursive: true, verbatimSymlinks: true });
    if (skip !== false) return;
    // Those that ours name; of the machine, as its systemd knows them.
    const system = '/usr/lib/systemd/system';
    for (const name of fs.readdirSync(system).filter((one) => one.endsWith('.target'))) {
      fs.cpSync(path.join(system, name), path.join(units, name), { verbatimSymlinks: true });
    }
  });

  for (const name of ['blkferryd.service', 'blkferry-node.service']) {
    it(`have no fault in ${name}`, { skip }, () => {
      const words = [`--root=${root}`, '--recursive-errors=one', 'verify', path.join(units, name)];
      const { status, stdout, stderr } = spawnSync(analyze!, words, { encoding: 'utf8' });
      assert.equal(stderr + stdout, '');
      assert.equal(status, 0);
    });
  }

  // As systemd counts, from 0 (nothing is open) to 10. The daemon is root with CAP_SYS_ADMIN, because NBD
  // devices are configured with it; the node needs nothing but its files and the network.
  for (const [name, exposureMax] of [
    ['blkferryd.service', 36],
    ['blkferry-node.service', 14],
  ] as const) {
    it(
      `leave ${name} no more than it needs (exposure at most ${exposureMax / 10})`,
      { skip },
      (t) => {
        const words = ['security', `--root=${root}`, '--offline=true', '--no-pager'];
        const finished = spawnSync(analyze!, [...words, `--threshold=${exposureMax}`, name], {
          encoding: 'utf8',
        });
        if (/Unknown|unrecognized/.test(finished.stderr)) {
          t.skip('systemd-analyze is older than 250 and needs a running systemd for this');
          return;
        }
        assert.equal(finished.status, 0, finished.stdout.slice(-200));
      },
    );
  }

  it('give a stop more time than the programs take by default', () => {
    for (const name of ['blkferryd', 'blkferry-node']) {
      const unit = fs.readFileSync(path.join(units, `${name}.service`), 'utf8');
      const settings = fs.readFileSync(inside(`etc/blkferry/${name}.toml`), 'utf8');
      const [, minutes] = /^TimeoutStopSec=(\d+)min$/m.exec(unit)!;
      const [, seconds] = /^# shutdown_timeout = "(\d+)s"$/m.exec(settings)!;
      assert.ok(Number(minutes) * 60 > Number(seconds) + 10, name);
    }
  });
});

describe('scripts/install, again', () => {
  let former: string[];
  let said: string;

  before(() => {
    former = contentOf(destdir);
    fs.writeFileSync(inside('etc/blkferry/blkferryd.toml'), 'queue_depth = 64\n');
    fs.writeFileSync(inside('usr/bin/blkferry-former'), '');
    const list = inside('usr/lib/blkferry/install-manifest.json');
    const manifest = JSON.parse(fs.readFileSync(list, 'utf8')) as {
      files: string[];
      settings: Record<string, string>;
    };
    manifest.files.push('/usr/bin/blkferry-former');
    // As if a former version had written other settings, which nobody changed.
    const settings = inside('etc/blkferry/blkferry-node.toml');
    fs.writeFileSync(settings, '# former\n');
    const digest = createHash('sha256').update('# former\n').digest('hex');
    manifest.settings['/etc/blkferry/blkferry-node.toml'] = digest;
    fs.writeFileSync(list, JSON.stringify(manifest));
    said = installed('--destdir', destdir);
  });

  it('has the same files as before, and none that an older version had alone', () => {
    assert.deepEqual(contentOf(destdir), former);
  });

  it('never overwrites settings that somebody changed, and says so', () => {
    assert.match(said, /blkferryd.toml was there and stays as it is/);
    const text = fs.readFileSync(inside('etc/blkferry/blkferryd.toml'), 'utf8');
    assert.equal(text, 'queue_depth = 64\n');
  });

  it('renews settings that nobody changed', () => {
    const text = fs.readFileSync(inside('etc/blkferry/blkferry-node.toml'), 'utf8');
    assert.match(text, /^# data_directory/m);
    assert.doesNotMatch(said, /blkferry-node.toml/);
  });

  it('finishes what was interrupted when the program changed places', () => {
    const folder = inside('usr/lib/blkferry');
    fs.renameSync(folder, `${folder}.old`);
    fs.mkdirSync(`${folder}.new`);
    installed('--destdir', destdir);
    assert.deepEqual(
      fs.readdirSync(inside('usr/lib')).filter((name) => name.startsWith('blkferry')),
      ['blkferry'],
    );
  });

  it('removes all it installed, and neither changed settings nor files of others', () => {
    fs.writeFileSync(inside('usr/bin/other'), '');
    const { stdout } = install('--destdir', destdir, '--uninstall');
    assert.match(stdout, /blkferryd.toml was changed and stays/);
    assert.deepEqual(contentOf(destdir), [
      'etc',
      'etc/blkferry',
      'etc/blkferry/blkferryd.toml',
      'usr',
      'usr/bin',
      'usr/bin/other',
    ]);
  });
});

describe('scripts/install, when it may not or need not', () => {
  const parent = temporaryFolder();

  it('leaves nothing behind when it is undone', () => {
    const undone = path.join(parent, 'undone');
    installed('--destdir', undone, '--prefix', '/opt/blkferry');
    assert.ok(fs.existsSync(path.join(undone, 'opt/blkferry/bin/blkferryd')));
    // Nobody looks for units below /opt.
    const unit = path.join(undone, 'etc/systemd/system/blkferryd.service');
    assert.match(fs.readFileSync(unit, 'utf8'), /^ExecStart=\/opt\/blkferry\/bin\/blkferryd$/m);
    const script = path.join(undone, 'etc/xen/scripts/block-blkferry');
    assert.doesNotMatch(fs.readFileSync(script, 'utf8'), /\/usr\/bin\/blkferry/);
    installed('--destdir', undone, '--prefix', '/opt/blkferry', '--uninstall');
    assert.ok(!fs.existsSync(undone) || fs.readdirSync(undone).length === 0);
  });

  it('leaves out what is not wanted', () => {
    const plain = path.join(parent, 'plain');
    installed('--destdir', plain, '--no-systemd', '--no-udev', '--no-xen');
    const left = contentOf(plain).filter((name) => /systemd|udev|modprobe|xen|sysusers/.test(name));
    assert.deepEqual(left, []);
  });

  it('touches nothing when a file of somebody else is in the way', () => {
    const taken = path.join(parent, 'taken');
    fs.mkdirSync(path.join(taken, 'usr/bin'), { recursive: true });
    fs.writeFileSync(path.join(taken, 'usr/bin/blkferry'), 'mine');
    const { status, stderr } = install('--destdir', taken);
    assert.equal(status, 1);
    assert.match(stderr, /in the way: .*\/usr\/bin\/blkferry; remove them .* or choose another/);
    assert.deepEqual(contentOf(taken), ['usr', 'usr/bin', 'usr/bin/blkferry']);
  });

  it('removes nothing where it installed nothing', () => {
    const { status, stderr } = install('--destdir', path.join(parent, 'empty'), '--uninstall');
    assert.equal(status, 1);
    assert.match(
      stderr,
      /has no list of what was installed; was it installed with another --prefix/,
    );
  });

  it('refuses a Node that is too old, or none', () => {
    const old = path.join(parent, 'old-node');
    fs.writeFileSync(old, '#!/bin/sh\necho v18.20.4\n', { mode: 0o755 });
    const none = path.join(parent, 'none');
    const { status, stderr } = install('--destdir', none, '--node', old);
    assert.equal(status, 1);
    assert.match(stderr, /is v18.20.4 and blkferry needs Node 20.15.0 or newer; name another/);
    assert.match(
      install('--destdir', none, '--node', '/bin/true').stderr,
      /is not a Node that runs/,
    );
    assert.ok(!fs.existsSync(none));
  });

  it('changes the machine itself only for root', (t) => {
    const asNobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    const { status, stderr, error } = spawnSync(INSTALL, { encoding: 'utf8', ...asNobody });
    if (error !== undefined || /Permission denied|EACCES/.test(stderr)) {
      t.skip('only root may look into this checkout');
      return;
    }
    assert.equal(status, 1);
    assert.match(stderr, /only root may change this machine; run it as root, or with --destdir/);
  });

  it('shows its options for a wrong one, and for --help', () => {
    const { status, stderr } = install('--quickly');
    assert.equal(status, 2);
    assert.match(stderr, /--quickly[\s\S]*usage: scripts\/install/);
    assert.match(install('--help').stdout, /^usage: scripts\/install/);
  });
});
