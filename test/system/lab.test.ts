/**
 * The lab itself: what scripts/lab promises to the tests that run in it. Goal: a result from inside can be
 * trusted, and whatever happens inside, the machine is gone afterwards. One boot serves all of a kind; the
 * other boots are those that have to end badly.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { runProgram, RunningProgram, type Finished } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const LAB = path.join(ROOT, 'scripts/lab');
const FIRST_DEVICE = path.join(ROOT, 'scripts/lab.d/first-device');

/** The downloads, some 120 MB, and unpacking them. */
const FETCH_LIMIT_MS = 600_000;

/** A boot takes 10 to 40 s on a busy machine; a hanging one is to be reported by the lab, not by us. */
const LAB_LIMIT_SECONDS = 240;
const XEN_LIMIT_SECONDS = 420;
const FIRST_DEVICE_LIMIT_SECONDS = 420;

/** The lab ends QEMU at its limit; this is for ending, and for a machine that was busy meanwhile. */
const MARGIN_MS = 60_000;

const MIB = 1024 * 1024;

const EXIT_USAGE = 2;
const EXIT_TIME_OVER = 124;
const EXIT_LAB_FAILED = 125;

const skip = await missingLab();

/** @returns for the `skip` of a suite: false, or why there can be no machines here */
async function missingLab(): Promise<string | false> {
  if (fs.existsSync('/run/lab/settings')) return 'this is a machine of the lab already';
  const { status, stderr } = await runProgram(LAB, ['fetch', '--if-missing'], {
    timeoutMs: FETCH_LIMIT_MS,
  });
  return status === 0 ? false : `the lab cannot be had here: ${stderr.trim().split('\n').at(-1)}`;
}

function lab(
  limitSeconds: number,
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  const [kind = '', ...others] = words;
  return runProgram(LAB, [kind, '--timeout', String(limitSeconds), ...others], {
    timeoutMs: limitSeconds * 1000 + MARGIN_MS,
    environment,
  });
}

/** What a story printed as `name: value`. */
function valuesOf(stdout: string): Readonly<Record<string, string>> {
  const lines = stdout.matchAll(/^(\w+): (.*)$/gm);
  return Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, value] as const));
}

/** All processes that come from one, by what /proc says. */
function descendantsOf(pid: number): number[] {
  let children: number[];
  try {
    const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
    children = text.split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

/** A process that has ended and was not yet looked after by its parent runs no more. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

function isMachine(pid: number): boolean {
  try {
    return fs.readFileSync(`/proc/${pid}/comm`, 'latin1').startsWith('qemu-system');
  } catch {
    return false;
  }
}

async function until<Value>(what: string, look: () => Value | undefined): Promise<Value> {
  const untilMs = Date.now() + MARGIN_MS;
  for (;;) {
    const value = look();
    if (value !== undefined) return value;
    assert.ok(Date.now() < untilMs, `${what} did not come`);
    await wait(50);
  }
}

describe('scripts/lab vm', { skip }, () => {
  const folder = temporaryFolder();
  const shared = path.join(folder, 'shared folder, with a comma');
  const image = path.join(folder, 'image');
  const rules = path.join(folder, '60-lab-test.rules');
  const server = http.createServer((_request, response) => response.end('from outside'));
  const odd = ["it's", 'two\nlines', '', '$HOME "quoted" \\ é'];
  let finished: Finished;
  let values: Readonly<Record<string, string>>;

  const story = `
    echo "kernel: $(uname -r)"
    echo "user: $(id -u)"
    echo "folder: $PWD"
    echo "known: $BLKFERRY_LAB_TEST"
    echo "unknown: $SOMETHING_ELSE"
    printf '%s\\0' "$@" >shared/arguments
    modprobe -a nbd xfs ext4 loop dm-mod dm-flakey sch_netem veth && echo "modules: loaded"
    [ -e /sys/module/nbd ] && echo "nbd: there"
    echo "disks: $(blockdev --getsize64 /dev/vda) $(blockdev --getsize64 /dev/vdb)"
    dd if=/dev/vda bs=512 count=1 status=none | cut -c1-7 | head -n 1 | sed 's/^/image: /'
    echo changed | dd of=/dev/vda bs=512 seek=1 conv=sync,fsync status=none
    echo "link: $(readlink /dev/lab-test/disk1)"
    outside=$(busybox ip route | awk '$1 == "default" { print $3 }')
    echo "page: $(busybox wget -q -O - "http://$outside:$PORT/")"
    echo "controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
    echo "temporary: $(ls -A /tmp | wc -l)"
    rm proof && echo "removed: $(test -e proof || echo gone)"
    echo "$BLKFERRY_LAB_TEST" >shared/written
    head -c 3000000 /dev/zero | tr '\\0' 'x' >/dev/stderr
    exit 7
  `;

  before(async () => {
    fs.mkdirSync(shared);
    fs.symlinkSync(shared, path.join(folder, 'shared'));
    fs.writeFileSync(path.join(folder, 'proof'), 'still here');
    fs.writeFileSync(image, 'outside\n');
    fs.truncateSync(image, 2 * MIB);
    fs.writeFileSync(rules, 'KERNEL=="vd?", ATTR{serial}=="disk1", SYMLINK+="lab-test/disk1"\n');
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    finished = await lab(
      LAB_LIMIT_SECONDS,
      [
        ...['vm', '--net', '--udev', rules, '--disk', image, '--disk', '3M', '--env', 'PORT'],
        ...['--share', shared, 'bash', '-c', `cd '${folder}'\n${story}`, 'story', ...odd],
      ],
      {
        BLKFERRY_LAB_TEST: odd.join('-'),
        SOMETHING_ELSE: 'x',
        PORT: String((server.address() as AddressInfo).port),
      },
    );
    values = valuesOf(finished.stdout);
  });

  after(() => server.close());

  it('passes on the exit status and both outputs of the command, nothing else', () => {
    assert.equal(finished.status, 7, finished.stderr.slice(-2000));
    assert.equal(finished.stdout.split('\n')[0], `kernel: ${values['kernel']}`);
    assert.match(finished.stderr, /^x{1000000,}$/);
  });

  it('runs it as root on its own kernel, with the modules of that kernel', () => {
    assert.match(values['kernel'] ?? '', /^6\.12\..*-amd64$/);
    assert.equal(values['user'], '0');
    assert.equal(values['modules'], 'loaded');
    assert.equal(values['nbd'], 'there');
    assert.match(values['controllers'] ?? '', /\bmemory\b/);
  });

  it('passes on arguments as they are, and of the environment what it says', () => {
    const given = fs.readFileSync(path.join(shared, 'arguments'), 'utf8');
    assert.deepEqual(given.split('\0').slice(0, -1), odd);
    assert.equal(fs.readFileSync(path.join(shared, 'written'), 'utf8'), `${odd.join('-')}\n`);
    assert.equal(values['unknown'], '');
  });

  it('shows the files of this machine, but for temporary ones, and changes none that is not shared', () => {
    assert.equal(values['removed'], 'gone');
    assert.equal(fs.readFileSync(path.join(folder, 'proof'), 'utf8'), 'still here');
  });

  it('has the disks asked for; an image keeps what was written', () => {
    assert.equal(values['disks'], `${2 * MIB} ${3 * MIB}`);
    assert.equal(values['image'], 'outside');
    assert.equal(fs.readFileSync(image, 'latin1').slice(512, 519), 'changed');
  });

  it('runs udev with the rules given', () => {
    assert.equal(values['link'], '../vdb');
  });

  it('reaches this machine over its network card', () => {
    assert.equal(values['page'], 'from outside');
  });
});

describe('what scripts/quickstart --lab shows', { skip }, () => {
  it('goes to its end: a device is written to while its daemon dies, read back, detached', async () => {
    const words = ['vm', '--udev', path.join(ROOT, 'kmod/udev'), FIRST_DEVICE, '64M'];
    const { status, stdout, stderr } = await lab(FIRST_DEVICE_LIMIT_SECONDS, words);
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^quickstart: read back: the same$/m);
    assert.match(stdout, /^demo detached$/m);
  });
});

describe('scripts/lab that ends badly', { skip }, () => {
  const folder = temporaryFolder();

  it('refuses a wrong option before anything is started', async () => {
    for (const words of [['--tiemout', '5'], ['--timeout', '0'], ['--share', '/nowhere'], []]) {
      const { status, stderr } = await lab(5, ['vm', ...words]);
      assert.equal(status, EXIT_USAGE, words.join(' '));
      assert.match(stderr, /^lab: .*\n\n.*usage: scripts\/lab vm/s);
    }
  });

  it('ends the machine when the time is over, says so, and leaves nothing but the log', async () => {
    const log = path.join(folder, 'time.log');
    const words = ['vm', '--kernel-log', log, 'sleep', '1000'];
    const temporary = path.join(folder, 'tmp');
    fs.mkdirSync(temporary);
    const { status, stderr } = await lab(4, words, { TMPDIR: temporary });
    assert.equal(status, EXIT_TIME_OVER);
    assert.match(stderr, /the time limit of 4 seconds is over/);
    assert.ok(stderr.includes(log));
    assert.deepEqual(fs.readdirSync(temporary), []);
  });

  it('says that the machine crashed, and shows the last words of its kernel', async () => {
    const log = path.join(folder, 'crash.log');
    const words = ['vm', '--kernel-log', log, 'sh', '-c', 'echo c >/proc/sysrq-trigger'];
    const { status, stderr } = await lab(LAB_LIMIT_SECONDS, words);
    assert.equal(status, EXIT_LAB_FAILED, stderr);
    assert.match(stderr, /the machine ended before the command did/);
    assert.match(fs.readFileSync(log, 'latin1'), /sysrq: Trigger a crash/);
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`takes the machine with it when it gets ${signal}`, async () => {
      // What a killed lab cannot remove is in the test's folder.
      const words = ['vm', '--timeout', '60', 'sleep', '1000'];
      const environment = { TMPDIR: folder };
      const { program } = await RunningProgram.start(LAB, words, { environment });
      const machine = await until('QEMU', () => descendantsOf(program.pid).find(isMachine));
      program.signal(signal);
      await program.ended();
      await until('the end of QEMU', () => (isRunning(machine) ? undefined : true));
    });
  }
});

describe('scripts/lab xen', { skip }, () => {
  const folder = temporaryFolder();
  let finished: Finished;
  let values: Readonly<Record<string, string>>;

  const story = `
    set -u
    echo "domains: $(xl list | awk 'NR > 1 { print $1 }' | xargs)"
    echo "capabilities: $(xargs </proc/xen/capabilities)"
    modprobe loop
    truncate -s 16M /tmp/image
    disk=$(losetup -f --show /tmp/image)
    cat >/tmp/script <<'SCRIPT'
set -e
echo "size $(blockdev --getsize64 /dev/xvda)"
mke2fs -F /dev/xvda >/dev/null
mount -t ext4 /dev/xvda /mnt
echo "from the guest" >/mnt/file
umount /mnt
exit 9
SCRIPT
    lab-guest run tiny --disk "phy:$disk,xvda,w" --script /tmp/script >/tmp/said
    echo "status: $?"
    echo "said: $(xargs </tmp/said)"
    mount "$disk" /mnt
    echo "file: $(cat /mnt/file)"
    umount /mnt
    echo 'echo "I am up"; sleep 1000' >/tmp/script
    lab-guest start slow --script /tmp/script
    until lab-guest output slow | grep -q 'I am up'; do sleep 0.2; done
    lab-guest wait slow --timeout 1 >/dev/null
    echo "slow: $?"
    lab-guest run wrong --disk 'phy:/dev/nowhere,xvda,w' --script /tmp/script
    echo "wrong: $?"
    echo "left: $(xl list | awk 'NR > 1 { print $1 }' | xargs)"
  `;

  before(async () => {
    finished = await lab(XEN_LIMIT_SECONDS, ['xen', '--share', folder, 'bash', '-c', story]);
    values = valuesOf(finished.stdout);
  });

  it('is Dom0, with the toolstack up', () => {
    assert.equal(finished.status, 0, finished.stderr);
    assert.equal(values['domains'], 'Domain-0');
    assert.equal(values['capabilities'], 'control_d');
  });

  it('runs a guest on a disk of Dom0, and says what it said and how its script ended', () => {
    assert.equal(values['status'], '9', finished.stdout + finished.stderr);
    assert.equal(values['said'], `size ${16 * MIB}`);
    assert.equal(values['file'], 'from the guest');
  });

  it('ends a guest whose time is over, and says when one cannot start', () => {
    assert.equal(values['slow'], String(EXIT_TIME_OVER), finished.stderr);
    assert.equal(values['wrong'], String(EXIT_LAB_FAILED));
    assert.equal(values['left'], 'Domain-0');
  });
});
