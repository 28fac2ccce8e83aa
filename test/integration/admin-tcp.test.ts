/**
 * Goal: over TCP the admin API is for those who have a role, each may do what the role gives, and the command
 * reaches it with a certificate. Method: the daemon as a process, the command with real certificates.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import type { TlsFiles } from '#daemon/security/tls-material.js';
import { TestAuthority, tlsEnvironment } from '#test/support/certificates.js';
import { RunningProgram, runProgram, type Finished } from '#test/support/program.js';
import { until } from '#test/support/served-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { startTestNode, type TestNode } from '#test/support/test-node.js';

const TIMEOUT_MS = 60_000;
const PROGRAM_FOLDER = fileURLToPath(new URL('../../../daemon/dist/program/', import.meta.url));

const ROLES = `
[[rule]]
clients = ["vera"]
role = "viewer"

[[rule]]
clients = ["otto"]
role = "operator"

[[rule]]
clients = ["ada"]
role = "admin"
`;

describe('the admin API over TCP', { timeout: TIMEOUT_MS }, () => {
  const folder = temporaryFolder();
  const rolesFile = path.join(folder, 'roles.toml');
  const inFolder = (name: string): string => path.join(folder, name);
  let authority: TestAuthority;
  let node: TestNode;
  let daemon: RunningProgram;
  let address = '';

  before(async () => {
    authority = new TestAuthority(folder);
    fs.writeFileSync(rolesFile, ROLES);
    node = await startTestNode(folder);
    const client = node.client();
    await client.createVolume({ name: 'v1', sizeBytes: 1024 * 1024, blockBytes: 0, backend: '' });
    client.close();
    fs.mkdirSync(inFolder('run'), { mode: 0o700 });
    const { program, readyLine } = await RunningProgram.start(
      path.join(PROGRAM_FOLDER, 'blkferryd.js'),
      [
        ...['--node', node.address],
        ...['--admin-socket', inFolder('admin.sock'), '--nbd-socket', inFolder('nbd.sock')],
        ...['--state-directory', inFolder('state'), '--runtime-directory', inFolder('run')],
      ],
      {
        readyLine: /^blkferryd ready: /,
        environment: {
          ...tlsEnvironment(authority.issue()),
          BLKFERRY_ADMIN_TCP: '127.0.0.1:0',
          BLKFERRY_ADMIN_ACCESS_FILE: rolesFile,
          BLKFERRY_AUDIT_FILE: inFolder('audit.log'),
          BLKFERRY_DEVICE_MODE: 'none',
        },
      },
    );
    daemon = program;
    address = /admin unix:\S+ (\S+)/.exec(readyLine)?.[1] ?? '';
  });

  after(async () => {
    await daemon.stop();
    await node.stop(1000);
  });

  function as(name: string, words: string, files?: TlsFiles): Promise<Finished> {
    const own = files ?? authority.issue({ name, alternativeNames: `DNS:${name}` });
    return runProgram(path.join(PROGRAM_FOLDER, 'blkferry.js'), words.split(' '), {
      environment: { ...tlsEnvironment(own), BLKFERRY_ADMIN_ADDRESS: address },
    });
  }

  async function refused(name: string, words: string): Promise<string> {
    const { status, stderr } = await as(name, words);
    assert.equal(status, 4, stderr);
    return stderr;
  }

  it('lets each role do what it is for, and tells the others what it needs', async () => {
    assert.equal(
      await refused('vera', 'attach v1'),
      "blkferry: vera has role viewer, and to attach needs operator; the daemon's admin.access_file says who has which\n",
    );
    const attached = await as('otto', 'attach v1');
    assert.equal(attached.status, 0, attached.stderr);
    assert.match((await as('vera', 'list')).stdout, /^v1 /m);
    assert.equal(
      await refused('vera', 'detach v1'),
      "blkferry: vera has role viewer, and to detach needs operator; the daemon's admin.access_file says who has which\n",
    );
    assert.equal(
      await refused('otto', 'detach v1 --force'),
      "blkferry: otto has role operator, and to detach by force needs admin; the daemon's admin.access_file says who has which\n",
    );
    assert.equal((await as('ada', 'detach v1 --force')).status, 0);
    const audited = (): string => fs.readFileSync(inFolder('audit.log'), 'utf8');
    await until(() => /"act":"Detach","client":"ada".*"result":"done"/.test(audited()));
    assert.match(audited(), /"act":"Detach","client":"vera".*"result":"denied"/);
  });

  it('tells a client that no rule names that it has no role, and follows new rules', async () => {
    assert.equal(
      await refused('eve', 'list'),
      'blkferry: eve has no role on this daemon; its admin.access_file says who has which\n',
    );
    fs.writeFileSync(rolesFile, `${ROLES}\n[[rule]]\nclients = ["eve"]\nrole = "viewer"\n`);
    await until(() => daemon.stderr().includes('"event":"admin_roles_replaced"'));
    assert.equal((await as('eve', 'list')).status, 0);
  });

  it('is not there for a certificate of another authority', async () => {
    const other = new TestAuthority(folder, 'other authority');
    const files = { ...other.issue(), ca: authority.file };
    const { status, stderr } = await as('ada', 'list', files);
    assert.equal(status, 5);
    await until(() =>
      /"event":"tls_refused".*"msg":"the certificate of client \S+ \(CN=localhost\) is of another authority \(CN=other authority\) than those in tls\.ca"/.test(
        daemon.stderr(),
      ),
    );
    assert.match(
      stderr,
      /^blkferry: daemon 127\.0\.0\.1:\d+ refuses this program's certificate \(CN=localhost\), which is of CN=other authority; the log there says why/,
    );
  });

  it('is everything to whoever may open the socket', async () => {
    const { status, stderr } = await runProgram(path.join(PROGRAM_FOLDER, 'blkferry.js'), [
      'attach',
      'v1',
      '--take-over',
      '--admin-socket',
      inFolder('admin.sock'),
    ]);
    assert.equal(status, 0, stderr);
  });

  it('wants a certificate of the command', async () => {
    const { status, stderr } = await runProgram(path.join(PROGRAM_FOLDER, 'blkferry.js'), [
      'list',
      '--admin-address',
      address,
    ]);
    assert.equal(status, 2);
    assert.match(stderr, /--admin-address: a daemon is reached over TCP with a certificate only/);
  });
});

describe('the admin socket', { timeout: TIMEOUT_MS }, () => {
  /** What the daemon made of its socket and the folder: modes and group; or why it did not start. */
  async function made(environment: Record<string, string>): Promise<string> {
    const folder = temporaryFolder();
    fs.mkdirSync(path.join(folder, 'run'), { mode: 0o700 });
    const socket = path.join(folder, 'shared', 'admin.sock');
    let program: RunningProgram;
    try {
      ({ program } = await RunningProgram.start(
        path.join(PROGRAM_FOLDER, 'blkferryd.js'),
        [
          ...['--admin-socket', socket, '--nbd-socket', path.join(folder, 'nbd.sock')],
          ...['--state-directory', path.join(folder, 'state')],
          ...['--runtime-directory', path.join(folder, 'run')],
        ],
        { readyLine: /^blkferryd ready: /, environment },
      ));
    } catch (error) {
      return (error as Error).message;
    }
    const facts = [socket, path.dirname(socket)].map((file) => {
      const { mode, gid } = fs.statSync(file);
      return `${(mode & 0o777).toString(8)} ${gid}`;
    });
    await program.stop();
    return facts.join(', ');
  }

  const ownGroup = process.getgid?.() ?? 0;

  it('is for its owner alone, unless a group is named', async () => {
    assert.equal(await made({}), `600 ${ownGroup}, 700 ${ownGroup}`);
    const shared = {
      BLKFERRY_ADMIN_SOCKET_MODE: '660',
      BLKFERRY_ADMIN_SOCKET_GROUP: String(ownGroup),
    };
    assert.equal(await made(shared), `660 ${ownGroup}, 710 ${ownGroup}`);
  });

  it('is not made for a group that nobody named, or that is not there', async () => {
    assert.match(
      await made({ BLKFERRY_ADMIN_SOCKET_MODE: '660' }),
      /admin\.socket_mode 660 and admin\.socket_group belong together: set both or neither/,
    );
    assert.match(
      await made({
        BLKFERRY_ADMIN_SOCKET_MODE: '660',
        BLKFERRY_ADMIN_SOCKET_GROUP: 'no-such-group',
      }),
      /admin\.socket_group: there is no group no-such-group in \/etc\/group/,
    );
  });
});
