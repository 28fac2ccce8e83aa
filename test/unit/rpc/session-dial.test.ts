/** Where a session's connection goes, and that it is not plain text where it must not be. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, describe, it } from 'node:test';
import { DialTurns } from '#daemon/rpc/dial-turns.js';
import { sessionTarget } from '#daemon/rpc/session-dial.js';
import { TlsMaterial } from '#daemon/security/tls-material.js';
import { TestAuthority } from '#test/support/certificates.js';
import { refusal } from '#test/support/storage-refusal.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

async function listening(host: string): Promise<number> {
  const server = net.createServer((socket) => socket.on('error', () => undefined).end('hello'));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  after(() => {
    server.close();
  });
  return (server.address() as net.AddressInfo).port;
}

describe('sessionTarget', () => {
  const folder = temporaryFolder();
  const insecure = false;

  it('connects to a host and port, of IPv6 too, and to a unix socket', async () => {
    for (const host of ['127.0.0.1', '::1']) {
      const port = await listening(host);
      const address = host === '::1' ? `[::1]:${port}` : `${host}:${port}`;
      const target = sessionTarget({ address, insecure }, 'node');
      assert.equal(target.authority, address);
      assert.equal(target.isTls, false);
      const socket = await target.connect().ready;
      assert.equal(socket.remotePort, port);
      socket.destroy();
    }
    const server = net.createServer();
    const place = `${folder}/s.sock`;
    await new Promise<void>((resolve) => server.listen(place, resolve));
    const target = sessionTarget({ address: `unix:${place}`, insecure }, 'node');
    assert.equal(target.authority, 'localhost');
    (await target.connect().ready).destroy();
    server.close();
  });

  it('rejects with the system’s error if nobody is there, and if it is closed meanwhile', async () => {
    const nobody = sessionTarget({ address: `unix:${folder}/nobody`, insecure }, 'node').connect();
    await assert.rejects(nobody.ready, { code: 'ENOENT' });
    const port = await listening('127.0.0.1');
    const given = sessionTarget({ address: `127.0.0.1:${port}`, insecure }, 'node').connect();
    given.cancel();
    await assert.rejects(given.ready, /Socket closed/);
  });

  it('connects in its turn, and not at all if nobody waits for it any more', async () => {
    const address = `127.0.0.1:${await listening('127.0.0.1')}`;
    const target = sessionTarget({ address, insecure }, 'node', new DialTurns(1));
    const [first, second, third] = [target.connect(), target.connect(), target.connect()];
    second.cancel();
    (await first.ready).destroy();
    await assert.rejects(second.ready, /nobody waits for the connection/);
    (await third.ready).destroy();
  });

  it('goes beyond this machine with TLS, or where plain text was allowed', () => {
    const address = 'node-1.example:7600';
    const denied = refusal('denied', /will not connect to node-1\.example:7600 in plain text/);
    assert.throws(() => sessionTarget({ address, insecure: false }, 'node'), denied);
    assert.equal(sessionTarget({ address, insecure: true }, 'node').isTls, false);
    const tls = TlsMaterial.load(new TestAuthority(folder).issue(), Date.now());
    assert.equal(sessionTarget({ address, insecure: false, tls }, 'node').isTls, true);
    // On a unix socket everybody is local.
    const local = sessionTarget({ address: 'unix:/x', insecure: false, tls }, 'node');
    assert.equal(local.isTls, false);
  });

  it('says what is wrong with a server that does not speak TLS', async () => {
    const address = `127.0.0.1:${await listening('127.0.0.1')}`;
    const tls = TlsMaterial.load(new TestAuthority(folder).issue(), Date.now());
    const { ready } = sessionTarget({ address, insecure, tls }, 'node').connect();
    await assert.rejects(ready, /node 127\.0\.0\.1:\d+/);
  });
});
