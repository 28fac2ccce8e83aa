/** A session's connection over real sockets, whose peer is made of bytes and does what no library would. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FLOW_CONTROL_WINDOW_BYTES } from '#daemon/rpc/channel-options.js';
import { requestHeaders } from '#daemon/rpc/session-headers.js';
import { HeardConnection, collected, socketPairs } from '#test/support/connection-pair.js';
import { settle } from '#test/support/fake-clock.js';
import {
  CLIENT_PREFACE,
  FLAG,
  FRAME,
  callHeaders,
  data,
  frame,
  framesOf,
  goAway,
  grpcMessage,
  headers,
  ping,
  reset,
  settings,
  windowUpdate,
} from '#test/support/http2-frames.js';
import { pattern } from '#test/support/nbd-bytes.js';
import { until } from '#test/support/served-node.js';

const MiB = 1024 * 1024;
const WINDOW_BYTES_MAX = 2 ** 31 - 1;

const CALL = frame(FRAME.headers, FLAG.endHeaders, 1, callHeaders('/x'));

describe('a connection to a peer made of bytes', () => {
  const pair = socketPairs();

  async function server(first: readonly Buffer[]): Promise<Peer> {
    const { near, far } = await pair();
    const heard = new HeardConnection(far, 'server');
    heard.connection.begin();
    near.write(Buffer.concat(first));
    return { heard, socket: near };
  }

  interface Peer {
    readonly heard: HeardConnection;
    readonly socket: HeardConnection['socket'];
  }

  const LARGE_WINDOWS = [
    settings([4, WINDOW_BYTES_MAX], [5, 2 ** 24 - 1]),
    windowUpdate(0, WINDOW_BYTES_MAX - 65_535),
  ];

  it('cuts a message into frames of the length and windows that the peer allows', async () => {
    const { heard, socket } = await server([CLIENT_PREFACE, CALL]);
    const received = collected(socket);
    await heard.untilHeard(/headers/);
    heard.connection.send(pattern(100_000));
    const sent = (): Buffer[] =>
      framesOf(received())
        .filter(({ type }) => type === FRAME.data)
        .map(({ payload }) => payload);
    await until(() => Buffer.concat(sent()).length === 65_535);
    assert.deepEqual(
      sent().map(({ length }) => length),
      [16_384, 16_384, 16_384, 16_383],
    );
    socket.write(Buffer.concat([windowUpdate(1, 10_000), windowUpdate(0, 5)]));
    await until(() => Buffer.concat(sent()).length === 65_540);
    socket.write(windowUpdate(0, 100_000));
    await until(() => Buffer.concat(sent()).length === 75_535);
    socket.write(Buffer.concat([settings([4, 100_000])]));
    await until(() => Buffer.concat(sent()).length === 100_005);
    assert.ok(Buffer.concat(sent()).equals(grpcMessage(pattern(100_000))));
  });

  it('sends nothing before the window, made smaller, has grown above nothing again', async () => {
    const { heard, socket } = await server([CLIENT_PREFACE, windowUpdate(0, 100_000), CALL]);
    const received = collected(socket);
    const sentBytes = (): number =>
      framesOf(received())
        .filter(({ type }) => type === FRAME.data)
        .reduce((sum, { payload }) => sum + payload.length, 0);
    await heard.untilHeard(/headers/);
    heard.connection.send(pattern(80_000));
    await until(() => sentBytes() === 65_535);
    socket.write(Buffer.concat([settings([4, 35_535]), windowUpdate(1, 30_000), ping('12345678')]));
    await until(() => framesOf(received()).some(({ type }) => type === FRAME.ping));
    assert.equal(sentBytes(), 65_535);
    socket.write(windowUpdate(1, 7));
    await until(() => sentBytes() === 65_542);
  });

  it('cuts a message that is longer than the longest frame', async () => {
    const { heard, socket } = await server([CLIENT_PREFACE, ...LARGE_WINDOWS, CALL]);
    const received = collected(socket);
    await heard.untilHeard(/headers/);
    heard.connection.send(pattern(17 * MiB));
    await until(() => received().length >= 17 * MiB + 5 + 2 * 9);
    const lengths = framesOf(received())
      .filter(({ type }) => type === FRAME.data)
      .map(({ payload }) => payload.length);
    assert.deepEqual(lengths, [2 ** 24 - 1, 17 * MiB + 5 - (2 ** 24 - 1)]);
  });

  it('ends with what a reset or a GOAWAY says', async () => {
    const cases: [Buffer, string][] = [
      [reset(8), 'failed stream reset with CANCEL'],
      [reset(0x99), 'failed stream reset with error code 0x99'],
      [goAway(1, 11, 'slower'), 'failed connection given up with ENHANCE_YOUR_CALM slower'],
    ];
    for (const [bytes, expected] of cases) {
      const { heard } = await server([CLIENT_PREFACE, CALL, bytes]);
      await until(() => heard.socket.closed);
      assert.deepEqual(heard.heard, ['headers', expected]);
    }
  });

  it('tells a peer that breaks HTTP/2 why, and closes', async () => {
    const { heard, socket } = await server([CLIENT_PREFACE, CALL, data('x'), CALL]);
    const received = collected(socket);
    await until(() => socket.closed);
    assert.deepEqual(heard.heard, ['headers', 'failed headers came twice']);
    const last = framesOf(received()).slice(-2);
    assert.deepEqual(
      last.map(({ type }) => type),
      [FRAME.reset, FRAME.goAway],
    );
    assert.equal(String(last[1]?.payload.subarray(8)), 'headers came twice');
    assert.equal(last[1]?.payload.readUInt32BE(4), 1);
  });

  it('reads nothing behind a message that is none', async () => {
    const { heard, socket } = await server([
      ...[CLIENT_PREFACE, CALL, data(grpcMessage('one'))],
      data(grpcMessage('two', 1)),
      ...[data(grpcMessage('three')), reset(8)],
    ]);
    await heard.untilHeard(/unreadable/);
    socket.write(Buffer.concat([data(grpcMessage('four')), reset(8)]));
    for (let turn = 0; turn < 10; turn += 1) await settle();
    assert.deepEqual(heard.heard, [
      ...['headers', 'message 3'],
      'unreadable a message is compressed, which nobody asked for',
    ]);
    assert.equal(heard.connection.isOver, false);
  });

  /** A peer that sends without reading, until the other end has ended. */
  async function flood(peer: Peer, bytes: Buffer): Promise<void> {
    peer.socket.pause();
    while (!peer.heard.connection.isOver) {
      if (!peer.socket.write(bytes))
        await Promise.race([
          new Promise((resolve) => peer.socket.once('drain', resolve)),
          new Promise((resolve) => peer.heard.socket.once('close', resolve)),
        ]);
    }
  }

  const MANY_PINGS = Buffer.concat(Array.from({ length: 1000 }, () => ping('12345678')));
  const MANY_SETTINGS = Buffer.concat(Array.from({ length: 1000 }, () => settings()));

  it('ends with ENHANCE_YOUR_CALM if answers to pings or settings are not read', async () => {
    for (const bytes of [MANY_PINGS, MANY_SETTINGS]) {
      const peer = await server([CLIENT_PREFACE, CALL]);
      await peer.heard.untilHeard(/headers/);
      await flood(peer, bytes);
      assert.deepEqual(peer.heard.heard, [
        'headers',
        'failed answers to pings and settings are not read',
      ]);
      await until(() => peer.heard.socket.closed);
    }
  });

  it('answers any number of pings and settings if the answers are read', async () => {
    const { heard, socket } = await server([CLIENT_PREFACE, CALL]);
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await until(() => bytes > 0);
    bytes = 0;
    for (let count = 1; count <= 40; count += 1) {
      socket.write(MANY_PINGS);
      socket.write(MANY_SETTINGS);
      await until(() => bytes >= count * 1000 * (17 + 9) || heard.connection.isOver);
    }
    assert.deepEqual(heard.heard, ['headers']);
  });

  it('answers any number of pings while much data waits in front of the answers', async () => {
    const { heard, socket } = await server([CLIENT_PREFACE, ...LARGE_WINDOWS, CALL]);
    await heard.untilHeard(/headers/);
    let sent = 0;
    const more = (): void => {
      sent += 1;
      if (sent < 60) heard.connection.send(pattern(MiB), more);
    };
    for (let count = 0; count < 8; count += 1) heard.connection.send(pattern(MiB), more);
    let pongs = 0;
    let bytes = 0;
    // A ping for each chunk: there is always something that the kernel has not taken.
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      socket.write(MANY_PINGS.subarray(0, 17 * 40));
      pongs += 40;
    });
    await until(() => bytes >= 60 * MiB || heard.connection.isOver);
    assert.ok(pongs * 17 > 300_000, `${pongs} pings were too few to tell`);
    assert.deepEqual(heard.heard, ['headers']);
  });

  it('ends, and throws nothing, if its own ping is one too many for such a peer', async () => {
    const peer = await server([CLIENT_PREFACE, ...LARGE_WINDOWS, CALL]);
    await peer.heard.untilHeard(/headers/);
    peer.socket.pause();
    // Data fills the kernel's buffer, so that no answer gets through.
    peer.heard.connection.send(pattern(8 * MiB));
    await until(() => peer.heard.socket.writableLength > 0);
    const answersMax = Math.floor((256 * 1024) / 17);
    peer.socket.write(Buffer.concat(Array.from({ length: answersMax }, () => ping('12345678'))));
    for (let turn = 0; turn < 50; turn += 1) await settle();
    assert.deepEqual(peer.heard.heard, ['headers']);
    peer.heard.connection.ping();
    assert.deepEqual(peer.heard.heard, [
      'headers',
      'failed answers to pings and settings are not read',
    ]);
  });

  it('ends, and throws nothing, if to go on is one frame too many for such a peer', async () => {
    const peer = await server([CLIENT_PREFACE, ...LARGE_WINDOWS, CALL]);
    await peer.heard.untilHeard(/headers/);
    peer.socket.pause();
    peer.heard.connection.send(pattern(8 * MiB));
    await until(() => peer.heard.socket.writableLength > 0);
    peer.heard.connection.pause();
    const answersMax = Math.floor((256 * 1024) / 17);
    peer.socket.write(data(grpcMessage(pattern(4 * MiB - 5))));
    peer.socket.write(data(grpcMessage(pattern(2 * MiB))));
    peer.socket.write(Buffer.concat(Array.from({ length: answersMax }, () => ping('12345678'))));
    for (let turn = 0; turn < 200; turn += 1) await settle();
    peer.heard.connection.resume();
    assert.deepEqual(peer.heard.heard, [
      ...['headers', `message ${4 * MiB - 5}`, `message ${2 * MiB}`],
      'failed answers to pings and settings are not read',
    ]);
  });

  it('closes at once when it gives up a peer that does not read', async () => {
    const peer = await server([CLIENT_PREFACE, ...LARGE_WINDOWS, CALL]);
    await peer.heard.untilHeard(/headers/);
    peer.socket.pause();
    peer.heard.connection.send(pattern(8 * MiB));
    peer.heard.connection.abort('CANCEL', '');
    await until(() => peer.heard.socket.closed);
    assert.deepEqual(peer.heard.heard, ['headers']);
  });

  it('does not wait for ever if the kernel has no room for its last words', async () => {
    /** Sends until the kernel's buffer is full, or so often. */
    async function sent(countMax: number): Promise<[peer: Peer, count: number]> {
      const peer = await server([CLIENT_PREFACE, ...LARGE_WINDOWS, CALL]);
      await peer.heard.untilHeard(/headers/);
      peer.socket.pause();
      // What its buffer takes although nobody reads.
      peer.heard.connection.send(pattern(100_000));
      for (let turn = 0; turn < 10; turn += 1) await settle();
      for (let count = 1; count <= countMax; count += 1) {
        peer.heard.connection.send(pattern(20));
        if (peer.heard.socket.writableLength > 0) return [peer, count - 1];
      }
      return [peer, countMax];
    }
    const [, fits] = await sent(1_000_000);
    const [peer] = await sent(fits);
    assert.equal(peer.heard.socket.writableLength, 0);
    peer.heard.connection.abort('CANCEL', 'x'.repeat(200));
    await until(() => peer.heard.socket.closed);
    assert.deepEqual(peer.heard.heard, ['headers']);
  });

  it('hands on in a moment what a window of short messages has kept', async () => {
    const { heard, socket } = await server([CLIENT_PREFACE, CALL]);
    await heard.untilHeard(/headers/);
    heard.connection.pause();
    const count = 1000;
    const many = data(Buffer.concat(Array.from({ length: count }, () => grpcMessage('123456789'))));
    const frames = Math.floor(FLOW_CONTROL_WINDOW_BYTES / (14 * count));
    for (let index = 0; index < frames; index += 1) socket.write(many);
    await until(() => socket.writableLength === 0);
    for (let turn = 0; turn < 200; turn += 1) await settle();
    const startedMs = performance.now();
    heard.connection.resume();
    const tookMs = performance.now() - startedMs;
    assert.equal(heard.messages.length, frames * count);
    assert.ok(tookMs < 5000, `${Math.round(tookMs)} ms`);
  });

  it('takes 1xx answers, and trailers alone', async () => {
    const { near, far } = await pair();
    const client = new HeardConnection(near, 'client');
    client.connection.begin(requestHeaders('localhost', false));
    far.write(
      Buffer.concat([
        settings(),
        headers({ ':status': '103' }),
        headers({ ':status': '200', 'grpc-status': '5' }, FLAG.endStream),
      ]),
    );
    await client.untilHeard(/trailers/);
    assert.deepEqual(client.heard, ['trailers']);
  });
});
