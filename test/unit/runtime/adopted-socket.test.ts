/** An accepted connection goes on through a socket that reads into a slab, and nobody at its other end notices. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, describe, it } from 'node:test';
import { adopted } from '#daemon/runtime/adopted-socket.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const folder = temporaryFolder();
const undo: (() => void)[] = [];
after(() => {
  for (const one of undo) one();
});
let count = 0;

async function connected(
  isUnix: boolean,
  options: net.ServerOpts,
): Promise<{ client: net.Socket; accepted: net.Socket }> {
  const server = net.createServer(options);
  count += 1;
  const at: net.NetConnectOpts = isUnix
    ? { path: `${folder}/${count}` }
    : { port: 0, host: '127.0.0.1' };
  await new Promise<void>((resolve) => server.listen(at, resolve));
  const accepting = once(server, 'connection') as Promise<[net.Socket]>;
  const { port } = isUnix ? { port: 0 } : (server.address() as net.AddressInfo);
  const client = net.connect(isUnix ? at : { port, host: '127.0.0.1' });
  client.on('error', () => undefined);
  const [accepted] = await accepting;
  undo.push(
    () => server.close(),
    () => client.destroy(),
  );
  return { client, accepted };
}

function textOf(socket: net.Socket, length: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.length >= length) resolve(text);
    });
  });
}

for (const isUnix of [true, false]) {
  describe(`adopted, ${isUnix ? 'a unix socket' : 'TCP'}`, () => {
    it('reads what was sent before and after, and answers', async () => {
      const { client, accepted } = await connected(isUnix, { pauseOnConnect: true });
      client.write('before ');
      const { remotePort } = accepted;
      const socket = adopted(accepted);
      assert.notEqual(socket, accepted);
      assert.equal(accepted.destroyed, true);
      assert.equal(socket.remotePort, remotePort);
      const heard = textOf(socket, 12);
      client.write('after');
      assert.equal(await heard, 'before after');
      const answered = textOf(client, 6);
      socket.write('answer');
      assert.equal(await answered, 'answer');
      const closed = once(socket, 'close');
      client.destroy();
      await closed;
    });

    it('goes on behind what was read of it', async () => {
      const { client, accepted } = await connected(isUnix, {});
      client.write('first');
      await once(accepted, 'readable');
      assert.equal(String(accepted.read()), 'first');
      client.write('second');
      const socket = adopted(accepted);
      assert.notEqual(socket, accepted);
      assert.equal(await textOf(socket, 6), 'second');
      socket.destroy();
    });

    it('keeps a half that is open', async () => {
      const { client, accepted } = await connected(isUnix, {
        pauseOnConnect: true,
        allowHalfOpen: true,
      });
      const socket = adopted(accepted);
      client.end('asked');
      socket.on('data', () => undefined);
      await once(socket, 'end');
      const answered = textOf(client, 6);
      const closed = once(socket, 'close');
      socket.end('answer');
      assert.equal(await answered, 'answer');
      await closed;
    });
  });
}

describe('adopted', () => {
  it('leaves a socket as it is when something is in it, or it is closed', async () => {
    const { client, accepted } = await connected(true, {});
    client.write('first');
    await once(accepted, 'readable');
    assert.equal(adopted(accepted), accepted);
    assert.equal(String(accepted.read()), 'first');
    accepted.destroy();
    assert.equal(adopted(accepted), accepted);
  });
});
