/**
 * nbd-client, the kernel's companion, asks for the list of exports; to attach one it needs a kernel with nbd. Its
 * 3.24 speaks TLS 1.2 and nothing newer.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import { TestAuthority } from '#test/support/certificates.js';
import { nbdServerForSuite } from '#test/support/nbd-server.js';
import { missingPrograms, runProgram, type Finished } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;

describe('nbd-client', { skip: missingPrograms('nbd-client') }, () => {
  const server = nbdServerForSuite();

  it('lists the exports', async () => {
    const first = await server().newExport({ sizeBytes: MIB });
    const second = await server().newExport({ sizeBytes: MIB });
    const { stdout, stderr } = await runProgram('nbd-client', ['-l', '-u', first.socketPath]);
    assert.ok(namesIn(stdout).includes(first.name), `${stdout}${stderr}`);
    assert.ok(namesIn(stdout).includes(second.name), `${stdout}${stderr}`);
  });
});

describe('nbd-client with TLS', { skip: missingPrograms('nbd-client', 'openssl') }, () => {
  const folder = temporaryFolder();
  const authority = new TestAuthority(folder);
  const stacks: BlkferryStack[] = [];
  const access = path.join(folder, 'exports.toml');

  before(() => {
    const [clients, exports] = ['["reader.test"]', '["vol1"]'];
    fs.writeFileSync(
      access,
      `[[rule]]\nclients = ${clients}\nexports = ${exports}\nright = "read"\n`,
    );
  });
  after(() => Promise.all(stacks.map((stack) => stack.stop())));

  /** Two exports, of which the client may read the first, and its list of them. */
  async function listFrom(oldestTls: string): Promise<{ stack: BlkferryStack; list: Finished }> {
    const own = fs.mkdtempSync(path.join(folder, 'stack-'));
    const stack = await BlkferryStack.start(own, {
      tls: authority.issue(),
      daemon: {
        BLKFERRY_NBD_TCP: '127.0.0.1:0',
        BLKFERRY_NBD_ACCESS_FILE: access,
        BLKFERRY_TLS_MIN_VERSION: oldestTls,
      },
    });
    stacks.push(stack);
    await stack.newExport({ sizeBytes: MIB });
    await stack.newExport({ sizeBytes: MIB });
    const { uris } = await stack.admin.getAttachment('vol1');
    const port = uris.map((uri) => /^nbds:\/\/127\.0\.0\.1:(\d+)\//.exec(uri)?.[1]).find(Boolean);
    assert.ok(port !== undefined, uris.join(' '));
    const client = authority.issue({ name: 'reader.test', alternativeNames: 'DNS:reader.test' });
    const list = await runProgram('nbd-client', [
      ...['-certfile', client.certificate, '-keyfile', client.key, '-cacertfile', client.ca, '-x'],
      ...['-l', '127.0.0.1', port],
    ]);
    return { stack, list };
  }

  it('lists what it may open, where tls.min_version allows 1.2', async () => {
    const { list } = await listFrom('1.2');
    const names = namesIn(list.stdout);
    assert.ok(names.includes('vol1'), `${list.stdout}${list.stderr}`);
    assert.ok(!names.includes('vol2'), list.stdout);
  });

  it('is refused otherwise, and the log names the setting', { timeout: 30_000 }, async () => {
    const { stack, list } = await listFrom('1.3');
    assert.notEqual(list.status, 0);
    const sentence = 'the client wants a version of TLS that is not spoken here (tls.min_version)';
    // nbd-client may be gone before the daemon has written its log.
    while (!stack.daemon.stderr().includes(sentence)) await wait(10);
  });
});

function namesIn(list: string): string[] {
  return list.split('\n').map((line) => line.replace(/: .*/, ''));
}
