/** How a plain connection is recognized as a session's, over real sockets and with a clock that stands still. */
import assert from 'node:assert/strict';
import type net from 'node:net';
import { describe, it } from 'node:test';
import {
  SESSION_MARK,
  sessionMark,
  sessionProtocols,
  sortConnection,
  sortSecureConnection,
} from '#daemon/rpc/session-mark.js';
import { alpn, hello, record } from '#test/support/client-hello.js';
import { collected, socketPairs } from '#test/support/connection-pair.js';
import { FakeClock, settle } from '#test/support/fake-clock.js';
import { CLIENT_PREFACE, MAGIC, frame, ping, settings } from '#test/support/http2-frames.js';
import { cuts } from '#test/support/nbd-bytes.js';
import { until } from '#test/support/served-node.js';

/** storage.proto, "Connections". */
const MARK: readonly [number, number] = [0xfb1f, 1];
const LOOK_MS = 500;

interface Looked {
  readonly near: net.Socket;
  readonly clock: FakeClock;
  /** What it was taken for. */
  kind: 'session' | 'other' | undefined;
  lane: number | undefined;
  /** What the one who got it can read, also what came first. */
  readonly read: () => Buffer;
}

describe('sortConnection', () => {
  const pair = socketPairs();

  async function looked(sort: typeof sortConnection = sortConnection): Promise<Looked> {
    const { near, far } = await pair();
    const clock = new FakeClock();
    let first = Buffer.alloc(0);
    let rest = (): Buffer => Buffer.alloc(0);
    const result: Looked = {
      near,
      clock,
      kind: undefined,
      lane: undefined,
      read: () => Buffer.concat([first, rest()]),
    };
    const taken = (kind: 'session' | 'other'): void => {
      assert.equal(result.kind, undefined);
      result.kind = kind;
      rest = collected(far);
    };
    sort(far, clock, {
      session: (seen, lane) => {
        first = Buffer.from(seen);
        result.lane = lane;
        taken('session');
      },
      other: () => {
        taken('other');
      },
    });
    return result;
  }

  it('has the mark that the contract names', () => {
    assert.deepEqual(SESSION_MARK, [MARK]);
  });

  it('finds the mark wherever the first bytes are cut, among other settings too', async () => {
    const opening = Buffer.concat([MAGIC, settings([4, 100_000], MARK, [5, 20_000])]);
    for (const chunks of cuts(opening)) {
      const one = await looked();
      for (const chunk of chunks) {
        one.near.write(chunk);
        await settle();
      }
      one.near.write('more');
      await until(() => one.read().length === opening.length + 4);
      assert.equal(one.kind, 'session');
      assert.deepEqual(one.read(), Buffer.concat([opening, Buffer.from('more')]));
      assert.equal(one.clock.timerCount, 0);
    }
  });

  const OTHERS: Readonly<Record<string, Buffer>> = {
    'any gRPC client': Buffer.concat([CLIENT_PREFACE, ping('12345678')]),
    'a client with other settings': Buffer.concat([MAGIC, settings([2, 0], [4, 1], [0xfb1e, 1])]),
    'the mark with another value': Buffer.concat([MAGIC, settings([MARK[0], 0])]),
    'the mark with another value first': Buffer.concat([MAGIC, settings([MARK[0], 2], MARK)]),
    'the mark in another frame': Buffer.concat([MAGIC, ping('12345678'), settings(MARK)]),
    'the mark behind the first settings': Buffer.concat([MAGIC, settings(), settings(MARK)]),
    'settings that are cut': Buffer.concat([
      MAGIC,
      frame(4, 0, 0, Buffer.from([0xfb, 0x1f, 0, 0])),
    ]),
    'settings of more than 1 KiB': Buffer.concat([
      MAGIC,
      settings(...Array.from({ length: 170 }, () => [4, 1] as const), MARK),
    ]),
    'HTTP/1': Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    'HTTP/1 that begins like HTTP/2': Buffer.from('PRI * HTTP/1.1\r\n\r\n, and more than 24 bytes'),
    TLS: Buffer.from('16030100c8010000c4', 'hex'),
  };

  for (const [what, bytes] of Object.entries(OTHERS)) {
    it(`gives ${what} over with all its bytes, wherever they are cut`, async () => {
      const few = bytes.length <= 120 ? [...cuts(bytes)] : [[bytes]];
      for (const chunks of few) {
        const one = await looked();
        for (const chunk of chunks) {
          one.near.write(chunk);
          await settle();
        }
        await until(() => one.read().length === bytes.length);
        assert.equal(one.kind, 'other');
        assert.deepEqual(one.read(), bytes);
        assert.equal(one.clock.timerCount, 0);
      }
    });
  }

  it('takes settings of 1 KiB', async () => {
    const one = await looked();
    const many = Array.from({ length: 169 }, () => [4, 1] as const);
    one.near.write(Buffer.concat([MAGIC, settings(...many, MARK)]));
    await until(() => one.kind !== undefined);
    assert.equal(one.kind, 'session');
  });

  it('gives one that says nothing over when it has waited', async () => {
    const one = await looked();
    await one.clock.advance(LOOK_MS - 1);
    assert.equal(one.kind, undefined);
    await one.clock.advance(1);
    assert.equal(one.kind, 'other');
    one.near.write('late');
    await until(() => one.read().length === 4);
  });

  it('gives one that says too little over with what it said', async () => {
    const opening = Buffer.concat([MAGIC, settings(MARK)]);
    for (let said = 1; said < opening.length; said += 1) {
      const one = await looked();
      one.near.write(opening.subarray(0, said));
      await settle();
      assert.equal(one.kind, undefined, String(said));
      await one.clock.advance(LOOK_MS);
      assert.equal(one.kind, 'other');
      one.near.write(opening.subarray(said));
      await until(() => one.read().length === opening.length);
      assert.deepEqual(one.read(), opening);
    }
  });

  it('gives one that ends in the middle over with what it said', async () => {
    const one = await looked();
    one.near.write(MAGIC.subarray(0, 10));
    await settle();
    one.near.end();
    await until(() => one.read().length === 10);
    assert.equal(one.kind, 'other');
    assert.equal(one.clock.timerCount, 0);
  });

  it('hears the lane, which is another setting, and none where there can be no such lane', async () => {
    assert.deepEqual(sessionMark(0x1a2b), [MARK, [0xfb20, 0x1a2b]]);
    assert.deepEqual(sessionMark(undefined), [MARK]);
    for (const [pairs, lane] of [
      [[MARK, [0xfb20, 0x1a2b]], 0x1a2b],
      [[[0xfb20, 0], [4, 100_000], MARK], 0],
      [[MARK, [0xfb20, 65_535], [0xfb20, 1]], 65_535],
      [[MARK, [0xfb20, 65_536]], undefined],
      [[MARK], undefined],
    ] as const) {
      const one = await looked();
      one.near.write(Buffer.concat([MAGIC, settings(...pairs)]));
      await until(() => one.kind !== undefined);
      assert.deepEqual([one.kind, one.lane], ['session', lane]);
    }
    const without = await looked();
    without.near.write(Buffer.concat([MAGIC, settings([0xfb20, 7])]));
    await until(() => without.kind !== undefined);
    assert.equal(without.kind, 'other');
  });

  it('hears the lane of a TLS client, wherever its first bytes are cut, and keeps them', async () => {
    assert.deepEqual(sessionProtocols(7), ['blkferry-session/1', 'blkferry-lane/0007', 'h2']);
    assert.deepEqual(sessionProtocols(undefined), ['blkferry-session/1', 'h2']);
    const opening = record(hello(alpn(...sessionProtocols(7))));
    for (const chunks of cuts(opening)) {
      const one = await looked(sortSecureConnection);
      for (const chunk of chunks) {
        one.near.write(chunk);
        await settle();
      }
      one.near.write('more');
      await until(() => one.read().length === opening.length + 4);
      assert.deepEqual([one.kind, one.lane], ['session', 7]);
      assert.deepEqual(one.read(), Buffer.concat([opening, Buffer.from('more')]));
      assert.equal(one.clock.timerCount, 0);
    }
  });

  it('leaves all other TLS clients where they are', async () => {
    for (const protocols of [
      ['blkferry-session/1', 'h2'],
      ['blkferry-lane/0007', 'h2'],
      ['blkferry-session/1', 'blkferry-lane/7', 'h2'],
      ['h2'],
    ]) {
      const opening = record(hello(alpn(...protocols)));
      const one = await looked(sortSecureConnection);
      one.near.write(opening);
      await until(() => one.read().length === opening.length);
      assert.deepEqual([one.kind, one.read()], ['other', opening]);
    }
    const silent = await looked(sortSecureConnection);
    silent.near.write(record(hello(alpn(...sessionProtocols(7)))).subarray(0, 40));
    await settle();
    await silent.clock.advance(LOOK_MS);
    assert.deepEqual([silent.kind, silent.read().length], ['other', 40]);
  });

  it('waits for nothing when the connection is gone', async () => {
    const one = await looked();
    one.near.destroy();
    await until(() => one.clock.timerCount === 0);
    const other = await looked();
    other.near.write(MAGIC.subarray(0, 10));
    await settle();
    other.near.destroy();
    await until(() => other.clock.timerCount === 0);
    assert.notEqual(other.kind, 'session');
  });
});
