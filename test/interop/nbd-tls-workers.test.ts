/**
 * NBD over TLS with volumes in workers: TLS stays in the main thread, and requests go from there to the volume. Method:
 * other people's clients write over TLS and read in plain text, and the other way round.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import { TestAuthority, clientFolder } from '#test/support/certificates.js';
import { option } from '#test/support/nbd-bytes.js';
import { missingPrograms, runSuccessfully } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { RawConnection, go } from './raw-connection.js';

const MIB = 1024 * 1024;
const SIZE_BYTES = 64 * MIB;
const RULES = '[[rule]]\nclients = ["*"]\nexports = ["*"]\nright = "write"\n';

const folder = temporaryFolder();
const skip = missingPrograms('nbdcopy', 'openssl');

describe('NBD over TLS to volumes in workers', { skip }, () => {
  const authority = new TestAuthority(folder);
  const owner = authority.issue({ name: 'owner' });
  let stack: BlkferryStack;
  let port = '';

  before(async () => {
    const access = path.join(folder, 'exports.toml');
    fs.writeFileSync(access, RULES);
    stack = await BlkferryStack.start(folder, {
      tls: authority.issue(),
      daemon: {
        BLKFERRY_WORKERS: '2',
        BLKFERRY_NBD_TCP: '127.0.0.1:0',
        BLKFERRY_NBD_ACCESS_FILE: access,
      },
    });
    for (let count = 0; count < 2; count += 1) await stack.newExport({ sizeBytes: SIZE_BYTES });
    const { uris } = await stack.admin.getAttachment('vol1');
    port = uris.map((uri) => /^nbds:\/\/127\.0\.0\.1:(\d+)\//.exec(uri)?.[1]).find(Boolean) ?? '';
  });
  after(() => stack.stop());

  const overTls = (exportName: string): string =>
    `nbds://127.0.0.1:${port}/${exportName}?tls-certificates=${clientFolder(folder, owner)}`;
  const plain = (exportName: string): string =>
    `nbd+unix:///${exportName}?socket=${stack.socketPath}`;

  /** @returns the client, who stays */
  async function secured(exportName: string): Promise<tls.TLSSocket> {
    const client = await RawConnection.greeted(Number(port));
    client.send(option(5));
    await client.receiveOptionReply(5);
    client.socket.removeAllListeners('data');
    const [cert, key] = [fs.readFileSync(owner.certificate), fs.readFileSync(owner.key)];
    const socket = tls.connect({ socket: client.socket, rejectUnauthorized: false, cert, key });
    socket.on('error', () => undefined);
    socket.on('data', () => undefined);
    socket.on('secureConnect', () => socket.write(go(exportName)));
    return socket;
  }

  async function clientsOf(exportName: string, count: number): Promise<void> {
    for (;;) {
      const { clientCount } = await stack.admin.getAttachment(exportName);
      if (clientCount === count) return;
    }
  }

  it('has the same bytes over TLS and in plain text, from several connections at once', async () => {
    const [file, back] = [path.join(folder, 'random'), path.join(folder, 'back')];
    fs.writeFileSync(file, randomBytes(SIZE_BYTES));
    await runSuccessfully('nbdcopy', ['--flush', '--requests=32', file, overTls('vol1')]);
    await runSuccessfully('nbdcopy', [plain('vol1'), back]);
    assert.ok(fs.readFileSync(file).equals(fs.readFileSync(back)), 'written over TLS');
    await runSuccessfully('nbdcopy', ['--flush', file, plain('vol2')]);
    fs.rmSync(back);
    await runSuccessfully('nbdcopy', ['--requests=64', overTls('vol2'), back]);
    assert.ok(fs.readFileSync(file).equals(fs.readFileSync(back)), 'read over TLS');
    const workers = (await stack.admin.listAttachments()).map(({ worker }) => worker);
    assert.deepEqual(workers, [1, 2]);
  });

  it('counts clients over TLS, ends them with a detach by force, and goes on', async () => {
    const client = await secured('vol2');
    const closed = new Promise((resolve) => client.once('close', resolve));
    await clientsOf('vol2', 1);
    await assert.rejects(
      stack.admin.detach({ exportName: 'vol2', force: false }),
      /1 client is connected to vol2/,
    );
    await stack.admin.detach({ exportName: 'vol2', force: true });
    client.destroy();
    await closed;
    await runSuccessfully('nbdcopy', [overTls('vol1'), path.join(folder, 'again')]);
    assert.equal((await stack.admin.listAttachments()).length, 1);
  });
});
