/**
 * Goal: of programs in their default configuration nobody on the network finds anything, and of programs that die
 * nobody on the machine. Method: all three as processes, looked at through the kernel's eyes.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, describe, it, type TestContext } from 'node:test';
import { RunningProgram, runProgram } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const TIMEOUT_MS = 60_000;
const PROGRAM_FOLDER = fileURLToPath(new URL('../../../daemon/dist/program/', import.meta.url));
const NOBODY = 65_534;

const folder = temporaryFolder();

type Name = 'blkferry-node' | 'blkferryd';

/** The defaults but for the places: a test takes free ones. */
function places(name: Name, root: string): string[] {
  if (name === 'blkferry-node')
    return ['--data-directory', path.join(root, 'data'), '--listen', '127.0.0.1:0'];
  return [
    ...[
      '--admin-socket',
      path.join(root, 'admin.sock'),
      '--nbd-socket',
      path.join(root, 'nbd.sock'),
    ],
    ...[
      '--state-directory',
      path.join(root, 'state'),
      '--runtime-directory',
      path.join(root, 'run'),
    ],
  ];
}

async function start(name: Name, root: string, userId?: number): Promise<RunningProgram> {
  const script = path.join(PROGRAM_FOLDER, `${name}.js`);
  const options = { readyLine: /ready: /, ...(userId === undefined ? {} : { userId }) };
  const { program } = await RunningProgram.start(script, places(name, root), options);
  after(() => program.stop());
  return program;
}

/** Addresses of IP at which a process listens, as the kernel writes them. Needs root: see the test of core dumps. */
function listeningAddresses(pid: number): string[] {
  const sockets = new Set(
    fs.readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      } catch {
        return undefined; // It was closed meanwhile.
      }
    }),
  );
  const rows = ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((table) =>
    fs.readFileSync(`/proc/${pid}/net/${table}`, 'utf8').trim().split('\n').slice(1),
  );
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , remote = '', , , , , , , inode]) => /:0000$/.test(remote) && sockets.has(inode))
    .map(([, local = '']) => local.replace(/:.*/, ''));
}

describe('programs that nobody has configured', { timeout: TIMEOUT_MS }, () => {
  it('listen at loopback and at unix sockets, and nowhere else', async (t) => {
    if (process.getuid?.() !== 0) {
      t.skip('only root may look into processes that forbid core dumps');
      return;
    }
    const loopback = '0100007F';
    assert.deepEqual(listeningAddresses((await start('blkferry-node', folder)).pid), [loopback]);
    assert.deepEqual(listeningAddresses((await start('blkferryd', folder)).pid), []);
  });

  const BEYOND: readonly [Name, string, readonly string[], string][] = [
    [
      'blkferry-node',
      'an address of every network',
      ['--listen', '0.0.0.0:0'],
      'blkferry-node: listen: 0.0.0.0:0 is reachable from other machines and the connection is plain text; ' +
        'use a loopback address, set tls.certificate, tls.key and tls.ca, or set insecure = true if the network is private\n',
    ],
    [
      'blkferryd',
      'NBD clients of every network',
      ['--nbd-tcp', '[::]:0'],
      'blkferryd: nbd.tcp: [::]:0 can be reached from other machines and NBD without TLS is plain text; ' +
        'set tls.certificate, tls.key and tls.ca (and not nbd.tls = off), use a loopback address, or set insecure = true\n',
    ],
    [
      'blkferryd',
      'a node on another machine',
      ['--node', '10.0.0.1:7600'],
      'blkferryd: node: 10.0.0.1:7600 is another machine and the connection is plain text; ' +
        'set tls.certificate, tls.key and tls.ca, or insecure = true if the network between is private\n',
    ],
  ];
  for (const [name, what, words, sentence] of BEYOND) {
    it(`do not begin without TLS for ${what}, and say which setting to change: ${name}`, async () => {
      const root = path.join(folder, 'refused');
      const script = path.join(PROGRAM_FOLDER, `${name}.js`);
      const finished = await runProgram(script, [...places(name, root), ...words]);
      assert.deepEqual([finished.status, finished.stdout], [2, '']);
      assert.equal(finished.stderr, sentence);
      assert.ok(!fs.existsSync(root), 'nothing was made');
    });
  }

  it('do not begin with an admin API over TCP without TLS, also where plain text is allowed', async () => {
    const root = path.join(folder, 'refused');
    const script = path.join(PROGRAM_FOLDER, 'blkferryd.js');
    const { status, stderr } = await runProgram(
      script,
      [...places('blkferryd', root), '--insecure'],
      {
        environment: { BLKFERRY_ADMIN_TCP: '0.0.0.0:0' },
      },
    );
    assert.equal(status, 2);
    assert.equal(
      stderr,
      'blkferryd: admin.tcp: 0.0.0.0:0 would be open to everybody; set tls.certificate, tls.key and tls.ca\n',
    );
  });
});

describe("a program that has guests' data in its memory", { timeout: TIMEOUT_MS }, () => {
  /** Of root's own processes the kernel would tell nothing. */
  const own = process.getuid?.() ?? 0;
  const userId = own === 0 ? NOBODY : own;

  /** Memory that the kernel will not dump belongs to root, whoever runs the process. */
  function ownerOfMemory({ pid }: RunningProgram): number {
    return fs.statSync(`/proc/${pid}/mem`).uid;
  }

  /** Skips the test where a checkout is for its owner alone. */
  async function unlessUnreadable(t: TestContext, test: () => Promise<void>): Promise<void> {
    try {
      await test();
    } catch (error) {
      if (own !== 0 || !/EACCES|Cannot find module/.test((error as Error).message)) throw error;
      t.skip('another user may not run the programs here');
    }
  }

  for (const name of ['blkferry-node', 'blkferryd'] as const) {
    it(`leaves no core dump: ${name}`, async (t) => {
      const root = path.join(folder, `of-${name}`);
      fs.mkdirSync(root);
      fs.chownSync(root, userId, process.getgid?.() ?? 0);
      fs.chmodSync(folder, 0o711);
      await unlessUnreadable(t, async () => {
        assert.equal(ownerOfMemory(await start(name, root, userId)), 0);
      });
    });
  }

  it('leaves no core dump: blkferry', async (t) => {
    // A node that says nothing, so that the command is there for a while.
    const node = net.createServer().listen(0, '127.0.0.1');
    await once(node, 'listening');
    t.after(() => node.close());
    const address = `127.0.0.1:${(node.address() as net.AddressInfo).port}`;
    const script = path.join(PROGRAM_FOLDER, 'blkferry.js');
    await unlessUnreadable(t, async () => {
      const asked = once(node, 'connection');
      const words = ['volume', 'list', '--node', address];
      const { program } = await RunningProgram.start(script, words, { userId });
      const ended = program.ended().then((status) => {
        throw new Error(`ended with ${status}: ${program.stderr()}`);
      });
      ended.catch(() => undefined);
      t.after(() => program.kill());
      await Promise.race([asked, ended]);
      assert.equal(ownerOfMemory(program), 0);
    });
  });
});
