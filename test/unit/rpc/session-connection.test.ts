/** A session's connection over real sockets, with both ends ours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ANSWER_HEADERS, endHeaders, requestHeaders } from '#daemon/rpc/session-headers.js';
import { HeardConnection, socketPairs } from '#test/support/connection-pair.js';
import { settle } from '#test/support/fake-clock.js';
import { pattern } from '#test/support/nbd-bytes.js';
import { until } from '#test/support/served-node.js';

const MiB = 1024 * 1024;

describe('a connection between two ends of ours', () => {
  const pair = socketPairs();

  async function begun(): Promise<[client: HeardConnection, server: HeardConnection]> {
    const { near, far } = await pair();
    const client = new HeardConnection(near, 'client');
    const server = new HeardConnection(far, 'server');
    server.connection.begin();
    client.connection.begin(requestHeaders('localhost', false));
    await server.untilHeard(/headers/);
    server.connection.sendHeaders(ANSWER_HEADERS, false);
    await client.untilHeard(/headers/);
    return [client, server];
  }

  it('brings headers, messages and trailers in their order, each as it was sent', async () => {
    const [client, server] = await begun();
    assert.deepEqual(server.fields[0], requestHeaders('localhost', false));
    assert.deepEqual(client.fields[0], ANSWER_HEADERS);
    for (const length of [0, 1, 20_000, 5 * MiB, 7]) server.connection.send(pattern(length));
    server.connection.sendHeaders(endHeaders({ code: 0, details: '' }), true);
    server.connection.end();
    await client.untilHeard(/trailers/);
    const sizes = ['message 0', 'message 1', 'message 20000', `message ${5 * MiB}`, 'message 7'];
    assert.deepEqual(client.heard.slice(0, 7), ['headers', ...sizes, 'trailers']);
    for (const message of client.messages) assert.ok(message.equals(pattern(message.length)));
  });

  it('sends trailers behind messages that wait for a window', async () => {
    const [client, server] = await begun();
    client.connection.pause();
    for (let count = 0; count < 3; count += 1) server.connection.send(pattern(6 * MiB));
    server.connection.sendHeaders(endHeaders({ code: 5, details: 'no volume' }), true);
    server.connection.end();
    await settle();
    assert.deepEqual(client.heard, ['headers']);
    client.connection.resume();
    await client.untilHeard(/trailers/);
    const message = `message ${6 * MiB}`;
    assert.deepEqual(client.heard.slice(0, 5), ['headers', message, message, message, 'trailers']);
  });

  it('brings messages that are larger than windows and frames, both ways at once', async () => {
    const [client, server] = await begun();
    const message = pattern(20 * MiB);
    for (let count = 0; count < 3; count += 1) {
      client.connection.send(message);
      server.connection.send(message);
    }
    await until(() => client.messages.length === 3 && server.messages.length === 3);
    for (const received of [...client.messages, ...server.messages])
      assert.ok(received.equals(message));
  });

  it('reads windows on while it is paused, so that what waits for them is sent', async () => {
    const [client, server] = await begun();
    // Once both ends stood still: each waited for windows that were in a socket which it did not read.
    client.connection.pause();
    server.connection.pause();
    for (let count = 0; count < 3; count += 1) {
      client.connection.send(pattern(6 * MiB));
      server.connection.send(pattern(6 * MiB));
    }
    await settle();
    client.connection.resume();
    await until(() => client.messages.length === 3);
    assert.equal(server.messages.length, 0);
    server.connection.resume();
    await until(() => server.messages.length === 3);
  });

  it('keeps at most the window while it is paused', async () => {
    const [client, server] = await begun();
    server.connection.pause();
    let sent = 0;
    for (let count = 0; count < 20; count += 1)
      client.connection.send(pattern(MiB), () => {
        sent += 1;
      });
    await until(() => sent >= 7);
    for (let turn = 0; turn < 50; turn += 1) await settle();
    // The eighth is longer than what is left of the window, by the prefixes.
    assert.equal(sent, 7);
    assert.equal(server.bytes, 0);
    assert.equal(client.connection.windows.sendStreamBytes, 0);
    server.connection.resume();
    await until(() => server.messages.length === 20);
  });

  it('gives what it kept on in order when it is paused again and again', async () => {
    const [client, server] = await begun();
    server.connection.pause();
    for (let length = 1; length <= 50; length += 1) client.connection.send(pattern(length));
    server.onMessage = ({ length }) => {
      server.connection.pause();
      // Some go on at once, the others a turn later.
      if (length % 3 === 0) server.connection.resume();
      else
        setImmediate(() => {
          server.connection.resume();
        });
    };
    await until(() => client.connection.socket.writableLength === 0);
    await settle();
    assert.equal(server.messages.length, 0);
    server.connection.resume();
    await until(() => server.messages.length === 50);
    assert.deepEqual(
      server.messages.map(({ length }) => length),
      Array.from({ length: 50 }, (_, index) => index + 1),
    );
  });

  it('hands messages over before it says that they were the last, also when it was paused', async () => {
    const [client, server] = await begun();
    server.connection.pause();
    client.connection.send(pattern(5));
    client.connection.send(pattern(6));
    client.connection.sendHeaders([], true);
    for (let turn = 0; turn < 10; turn += 1) await settle();
    assert.deepEqual(server.heard, ['headers']);
    server.connection.resume();
    assert.deepEqual(server.heard, ['headers', 'message 5', 'message 6', 'trailers']);
  });

  it('calls back when a message is with the kernel, and only then', async () => {
    const [client, server] = await begun();
    const told: string[] = [];
    server.connection.pause();
    client.connection.send(pattern(10), () => told.push('short'));
    client.connection.send(pattern(20 * MiB), () => told.push('long'));
    assert.deepEqual(told, []);
    await until(() => told.length > 0);
    for (let turn = 0; turn < 20; turn += 1) await settle();
    assert.deepEqual(told, ['short']);
    server.connection.resume();
    await until(() => told.length === 2);
  });

  it('says once that the other end is gone', async () => {
    const [client, server] = await begun();
    server.connection.abort('ENHANCE_YOUR_CALM', 'too much');
    await client.untilHeard(/failed/);
    await until(() => client.socket.closed && server.socket.closed);
    await settle();
    assert.deepEqual(client.heard, ['headers', 'failed stream reset with ENHANCE_YOUR_CALM']);
    // Whoever gives up knows it.
    assert.deepEqual(server.heard, ['headers']);
    assert.equal(client.connection.isOver, true);
  });

  it('says that the connection broke, and takes nothing more', async () => {
    const [client, server] = await begun();
    server.socket.destroy();
    await client.untilHeard(/failed/);
    client.connection.send(pattern(5), () => client.heard.push('sent'));
    client.connection.sendHeaders([], true);
    client.connection.abort('CANCEL', '');
    client.connection.end();
    await settle();
    assert.deepEqual(client.heard, ['headers', 'failed Socket closed']);
  });

  it('asks for a sign of life once, and again when it came', async () => {
    const [client] = await begun();
    assert.equal(client.connection.ping(), true);
    assert.equal(client.connection.ping(), false);
    client.connection.hasHeard();
    await until(() => client.connection.hasHeard());
    assert.equal(client.connection.ping(), true);
  });
});
