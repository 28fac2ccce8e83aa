/** The node's end of a session's connection, with clients that are not ours: Node's HTTP/2, bytes, and nobody. */
import assert from 'node:assert/strict';
import type net from 'node:net';
import { describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import { readRequest, writeRequest } from '#daemon/block/block-request.js';
import { KEEPALIVE_INTERVAL_MS } from '#daemon/rpc/channel-options.js';
import { ServedSession } from '#daemon/rpc/served-session.js';
import { SessionDoor } from '#daemon/rpc/session-door.js';
import { collected, socketPairs } from '#test/support/connection-pair.js';
import { EchoSession, OPEN } from '#test/support/echo-session.js';
import { FakeClock, settle } from '#test/support/fake-clock.js';
import { requestFrame } from '#test/support/frame-bytes.js';
import {
  CLIENT_PREFACE,
  FLAG,
  FRAME,
  MAGIC,
  callHeaders,
  data,
  frame,
  framesOf,
  grpcMessage,
  ping,
  settings,
} from '#test/support/http2-frames.js';
import { Http2Session, SESSION_PATH } from '#test/support/http2-session.js';
import { pattern } from '#test/support/nbd-bytes.js';
import { until } from '#test/support/served-node.js';

const MiB = 1024 * 1024;
const PATIENCE_MS = 10_000;
const CALL = frame(FRAME.headers, FLAG.endHeaders, 1, callHeaders(SESSION_PATH));

interface Served {
  readonly near: net.Socket;
  readonly far: net.Socket;
  readonly clock: FakeClock;
  readonly session: ServedSession;
  /** Once the client has called. */
  served: EchoSession | undefined;
}

describe('ServedSession', () => {
  const pair = socketPairs();

  async function served(serve = true): Promise<Served> {
    const { near, far } = await pair();
    const clock = new FakeClock();
    const session = new ServedSession(far, {
      clock,
      called: (call) => {
        if (serve) result.served = new EchoSession(call);
      },
    });
    const result: Served = { near, far, clock, session, served: undefined };
    return result;
  }

  it('serves Node’s HTTP/2, whose windows and frames are small, both ways at once', async () => {
    const node = await served();
    const client = new Http2Session(node.near);
    client.send(OPEN);
    assert.deepEqual(await client.next(), { kind: 'pong', number: 0 });
    for (let count = 0; count < 3; count += 1)
      client.send(requestFrame([readRequest(count, 2 * MiB), writeRequest(0, pattern(2 * MiB))]));
    for (let count = 0; count < 3; count += 1) {
      const replies = await client.next();
      assert.ok(replies.kind === 'replies');
      assert.ok(Buffer.concat(replies.results[0]!.payload).equals(pattern(2 * MiB, count)));
    }
    assert.equal(node.served?.written.length, 3);
    client.stream.end();
    assert.deepEqual(await client.ended(), [':status=200', 'grpc-status=0']);
    assert.equal(node.served.heard.at(-1), 'end');
    await until(() => node.far.closed && node.clock.timerCount === 0);
  });

  it('says in its settings that it takes one stream', async () => {
    const node = await served();
    const client = new Http2Session(node.near);
    client.send(OPEN);
    await client.next();
    assert.equal(client.session.remoteSettings.maxConcurrentStreams, 1);
    assert.equal(client.session.remoteSettings.initialWindowSize, 8 * MiB);
  });

  it('answers with the status that whoever serves it gives, before and behind frames', async () => {
    const early = await served(false);
    const client = new Http2Session(early.near);
    await until(() => early.session.connection.hasHeard());
    early.session.emit('error', { code: status.NOT_FOUND, details: 'no volume ü' });
    assert.deepEqual(await client.ended(), [
      'grpc-status=5 grpc-message=no volume %C3%BC :status=200',
    ]);
    const late = await served(false);
    const other = new Http2Session(late.near);
    await until(() => late.session.connection.hasHeard());
    late.session.write({ kind: 'pong', number: 3 }, () => undefined);
    late.session.emit('error', { code: status.ABORTED, details: 'fenced' });
    // Only the first end counts.
    late.session.end();
    assert.deepEqual(await other.next(), { kind: 'pong', number: 3 });
    assert.deepEqual(await other.ended(), [':status=200', 'grpc-status=10 grpc-message=fenced']);
  });

  it('refuses other calls on such a connection, with a status that says why', async () => {
    const cases: [Record<string, string>, string][] = [
      [{ ':path': '/blkferry.storage.v1.Storage/GetNode' }, 'grpc-status=12'],
      [{ 'content-type': 'text/html' }, 'grpc-status=13'],
      [{ 'grpc-encoding': 'gzip' }, 'grpc-status=12'],
    ];
    for (const [headers, expected] of cases) {
      const node = await served();
      const client = new Http2Session(node.near, { headers });
      const [said = ''] = await client.ended();
      assert.ok(said.startsWith(`${expected} grpc-message=`), said);
      assert.equal(node.served, undefined);
      await until(() => node.far.closed && node.clock.timerCount === 0);
    }
  });

  it('ends with a client that goes, or that opens a second stream', async () => {
    const node = await served();
    const client = new Http2Session(node.near);
    client.send(OPEN);
    await client.next();
    client.session.destroy();
    await until(() => node.served?.heard.at(-1) === 'cancelled');
    const other = await served();
    const received = collected(other.near);
    const second = frame(FRAME.headers, FLAG.endHeaders, 3, callHeaders(SESSION_PATH));
    other.near.write(Buffer.concat([CLIENT_PREFACE, CALL, second]));
    await until(() => other.near.closed);
    assert.deepEqual(other.served?.heard, ['cancelled']);
    const last = framesOf(received()).at(-1);
    assert.equal(last?.type, FRAME.goAway);
    assert.match(String(last.payload.subarray(8)), /^stream 3 was opened; this connection/);
  });

  it('hands what is no frame, or no message, over as the error', async () => {
    for (const message of [grpcMessage('noise'), grpcMessage(''), grpcMessage('x', 1)]) {
      const node = await served();
      node.near.write(Buffer.concat([CLIENT_PREFACE, CALL, data(message)]));
      await until(() => node.served?.heard[0] === 'refused');
    }
  });

  it('has frames before the end of the client’s half, also while it is paused', async () => {
    const node = await served();
    const client = new Http2Session(node.near);
    client.send(OPEN);
    await client.next();
    node.session.pause();
    client.send({ kind: 'ping', number: 1 });
    client.stream.end();
    for (let turn = 0; turn < 20; turn += 1) await settle();
    assert.deepEqual(node.served?.heard, ['open']);
    node.session.resume();
    assert.deepEqual(node.served.heard, ['open', 'ping', 'end']);
    assert.deepEqual(await client.next(), { kind: 'pong', number: 1 });
    assert.deepEqual((await client.ended()).at(-1), 'grpc-status=0');
  });

  it('lets go of a client that does not call in time, and tells it why', async () => {
    const node = await served();
    let isLost = false;
    node.session.on('cancelled', () => (isLost = true));
    const received = collected(node.near);
    node.near.write(CLIENT_PREFACE);
    await node.clock.advance(PATIENCE_MS - 1);
    assert.equal(isLost, false);
    await node.clock.advance(1);
    assert.equal(isLost, true);
    await until(() => node.near.closed);
    const last = framesOf(received()).at(-1);
    assert.equal(String(last?.payload.subarray(8)), `no call came within ${PATIENCE_MS} ms`);
    assert.equal(node.clock.timerCount, 0);
  });

  it('asks a client that is silent for a sign of life, and gives it up without one', async () => {
    const node = await served();
    const received = collected(node.near);
    const pings = (): number => framesOf(received()).filter(({ type }) => type === 6).length;
    node.near.write(Buffer.concat([CLIENT_PREFACE, CALL]));
    await until(() => node.served !== undefined);
    // It was heard in the first interval.
    await node.clock.advance(KEEPALIVE_INTERVAL_MS);
    assert.equal(pings(), 0);
    await node.clock.advance(KEEPALIVE_INTERVAL_MS);
    await until(() => pings() === 1);
    node.near.write(ping('blkferry', FLAG.ack));
    await settle();
    await node.clock.advance(KEEPALIVE_INTERVAL_MS);
    assert.equal(pings(), 1);
    await node.clock.advance(KEEPALIVE_INTERVAL_MS);
    await until(() => pings() === 2);
    await node.clock.advance(KEEPALIVE_INTERVAL_MS);
    assert.deepEqual(node.served?.heard, ['cancelled']);
    assert.equal(node.clock.timerCount, 0);
    await until(() => node.far.closed);
  });

  it('waits for a client to read its end, and not for ever', async () => {
    const node = await served(false);
    node.near.write(Buffer.concat([MAGIC, settings([4, 0]), CALL]));
    await until(() => node.session.connection.hasHeard());
    node.session.write({ kind: 'pong', number: 1 }, () => undefined);
    node.session.end();
    await node.clock.advance(PATIENCE_MS - 1);
    assert.equal(node.far.destroyed, false);
    await node.clock.advance(1);
    assert.equal(node.far.destroyed, true);
    await until(() => node.far.closed);
  });
});

describe('SessionDoor', () => {
  const pair = socketPairs();
  const FIRST = Buffer.concat([MAGIC, settings([0xfb1f, 1]), CALL]);

  it('serves marked connections, gives others over, and cuts what it serves', async () => {
    const told: string[] = [];
    const door = new SessionDoor({
      clock: new FakeClock(),
      onSession: (call) => {
        told.push('session');
        call.on('cancelled', () => told.push('cancelled'));
      },
      called: () => told.push('called'),
      moved: () => undefined,
    });
    const marked = await pair();
    const other = await pair();
    door.sort(marked.far, () => told.push('no'));
    door.sort(other.far, () => told.push('other'));
    marked.near.write(FIRST);
    await until(() => told.length === 2);
    other.near.write(CLIENT_PREFACE);
    await until(() => told.length === 3);
    assert.deepEqual(told, ['called', 'session', 'other']);
    door.cut();
    await until(() => marked.far.closed);
    assert.deepEqual(told.slice(3), ['cancelled']);
    assert.equal(other.far.destroyed, false);
  });

  it('takes nothing where there are no sessions', async () => {
    const door = new SessionDoor({
      clock: new FakeClock(),
      onSession: undefined,
      called: () => undefined,
      moved: () => undefined,
    });
    const { near, far } = await pair();
    let isOther = false;
    door.sort(far, () => (isOther = true));
    assert.equal(isOther, true);
    assert.deepEqual(door.protocols, ['h2']);
    near.destroy();
  });
});
