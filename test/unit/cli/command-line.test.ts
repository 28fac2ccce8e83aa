/** Goal: every way a command line can end has its exit code, its sentence, and its place to stand. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StorageError, type StorageErrorKind } from '#daemon/rpc/storage-error.js';
import { FakeSurroundings, widthOf } from './fake-surroundings.js';

describe('the command line', () => {
  it('shows every command and every exit code in --help, 80 columns wide, on stdout', async () => {
    const { exitCode, stdout, stderr } = await new FakeSurroundings().run('--help');
    assert.equal(exitCode, 0);
    assert.equal(stderr, '');
    for (const word of 'volume attach detach list show status import export completion'.split(
      ' ',
    )) {
      assert.match(stdout, new RegExp(`^  ${word}\\b`, 'm'));
    }
    for (const code of [0, 1, 2, 3, 4, 5, 6, 7, 130]) {
      assert.match(stdout, new RegExp(`^  ${code} +\\w`, 'm'));
    }
    assert.doesNotMatch(stdout, /complete-names/);
    assert.ok(widthOf(stdout) <= 80, stdout);
  });

  it('fits the help of every command into 80 columns', async () => {
    for (const command of ['volume', 'volume create', 'attach', 'import', 'export', 'status']) {
      const { exitCode, stdout } = await new FakeSurroundings().run(`${command} --help`);
      assert.equal(exitCode, 0);
      assert.ok(widthOf(stdout) <= 80, stdout);
    }
  });

  it('prints its version', async () => {
    const { exitCode, stdout } = await new FakeSurroundings().run('--version');
    assert.equal(exitCode, 0);
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it('ends with 2 and the help on stderr when there is no command', async () => {
    const { exitCode, stdout, stderr } = await new FakeSurroundings().run('');
    assert.equal(exitCode, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /Usage: blkferry/);
    assert.match(stderr, /blkferry: a command is missing\n$/);
  });

  it('names the nearest command for one that does not exist', async () => {
    const { exitCode, stderr } = await new FakeSurroundings().run('atach v1');
    assert.equal(exitCode, 2);
    assert.equal(stderr, "blkferry: unknown command 'atach'\n(Did you mean attach?)\n");
  });

  it('names the nearest option for one that does not exist', async () => {
    const { exitCode, stderr } = await new FakeSurroundings().run('attach v1 --readonly');
    assert.equal(exitCode, 2);
    assert.match(stderr, /unknown option '--readonly'\n\(Did you mean --read-only\?\)/);
  });

  it('refuses a missing and a superfluous argument', async () => {
    const missing = await new FakeSurroundings().run('attach');
    assert.equal(missing.exitCode, 2);
    assert.match(missing.stderr, /missing required argument 'volume'/);
    const superfluous = await new FakeSurroundings().run('detach v1 v2');
    assert.equal(superfluous.exitCode, 2);
    assert.match(superfluous.stderr, /too many arguments/);
  });

  it('refuses an address that cannot be one before anything is asked', async () => {
    const world = new FakeSurroundings();
    const { exitCode, stderr } = await world.run('volume list --node 127.0.0.1');
    assert.equal(exitCode, 2);
    assert.match(stderr, /--node: 127\.0\.0\.1 is not an address; write host:port/);
    assert.equal(world.nodeOptions.length, 0);
    const socket = await new FakeSurroundings().run('list --admin-socket relative.sock');
    assert.equal(socket.exitCode, 2);
    assert.match(socket.stderr, /--admin-socket: .*absolute path/);
  });

  it('talks to another machine in plain text only with --insecure', async () => {
    const world = new FakeSurroundings();
    const { exitCode, stderr } = await world.run('volume list --node 10.0.0.1:7600');
    assert.equal(exitCode, 2);
    assert.match(stderr, /10\.0\.0\.1:7600 is on another machine .* or --insecure if/);
    assert.equal(world.nodeOptions.length, 0);
  });

  it('refuses a duration and a size that cannot be read', async () => {
    const duration = await new FakeSurroundings().run('list --timeout soon');
    assert.equal(duration.exitCode, 2);
    assert.match(duration.stderr, /--timeout.*soon/s);
    const size = await new FakeSurroundings().run('volume create v1 big');
    assert.equal(size.exitCode, 2);
    assert.match(size.stderr, /'big' is invalid for argument 'size'/);
  });

  it('writes errors as one JSON document on stderr with --json, usage errors too', async () => {
    const world = new FakeSurroundings();
    world.node.away = new StorageError('unavailable', 'no node answers at 127.0.0.1:7600: gone');
    const failed = await world.run('volume list --json');
    assert.equal(failed.exitCode, 5);
    assert.equal(failed.stdout, '');
    assert.deepEqual(JSON.parse(failed.stderr), {
      error: {
        code: 'unreachable',
        exitCode: 5,
        message: 'no node answers at 127.0.0.1:7600: gone',
      },
    });
    const usage = await new FakeSurroundings().run('volume create --json');
    assert.equal(usage.exitCode, 2);
    assert.deepEqual(JSON.parse(usage.stderr), {
      error: { code: 'usage', exitCode: 2, message: "missing required argument 'name'" },
    });
  });

  it('gives each kind of failure its exit code', async () => {
    const expected: Readonly<Record<StorageErrorKind, number>> = {
      'not-found': 3,
      exists: 4,
      refused: 4,
      fenced: 4,
      invalid: 2,
      exhausted: 7,
      damaged: 5,
      unavailable: 5,
      denied: 4,
      internal: 1,
    };
    for (const [kind, code] of Object.entries(expected)) {
      const world = new FakeSurroundings();
      world.node.away = new StorageError(kind as StorageErrorKind, `because of ${kind}`);
      const { exitCode, stderr } = await world.run('volume create v1 1G');
      assert.equal(exitCode, code, kind);
      assert.equal(stderr, `blkferry: because of ${kind}\n`);
      assert.equal(world.node.closed, 1, 'the client is closed after a failure');
    }
  });

  it('does not let a peer steer the terminal', async () => {
    const world = new FakeSurroundings();
    world.node.away = new StorageError('refused', 'evil \u001b[2J\u009b name');
    const { stderr } = await world.run('volume list');
    assert.equal(stderr, 'blkferry: evil ?[2J? name\n');
  });

  it('takes node and admin socket from the environment when there is no option', async (t) => {
    process.env['BLKFERRY_NODE'] = '127.1.2.3:7600';
    process.env['BLKFERRY_ADMIN_SOCKET'] = '/somewhere/admin.sock';
    t.after(() => {
      delete process.env['BLKFERRY_NODE'];
      delete process.env['BLKFERRY_ADMIN_SOCKET'];
    });
    const world = new FakeSurroundings();
    await world.run('volume list');
    await world.run('volume list --node 127.0.0.1:1');
    await world.run('list');
    assert.deepEqual(
      world.nodeOptions.map(({ address }) => address),
      ['127.1.2.3:7600', '127.0.0.1:1'],
    );
    assert.equal(world.daemonOptions[0]?.address, 'unix:/somewhere/admin.sock');
  });

  it('passes --timeout and --insecure on', async () => {
    const world = new FakeSurroundings();
    await world.run('volume list --timeout 250ms --insecure --node 10.0.0.1:7600');
    assert.deepEqual(world.nodeOptions, [
      { address: '10.0.0.1:7600', timeoutMs: 250, insecure: true },
    ]);
    await world.run('list --timeout 2s --admin-socket /a/b.sock');
    assert.deepEqual(world.daemonOptions, [{ address: 'unix:/a/b.sock', timeoutMs: 2000 }]);
  });
});
