/** A node with several addresses, each played by a client of the test's. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readRequest } from '#daemon/block/block-request.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { NodeMessage } from '#daemon/rpc/storage-messages.js';
import { NodeRoutes } from '#daemon/transport/node-routes.js';
import type {
  SessionEvents,
  StorageClient,
  StorageSession,
} from '#daemon/transport/storage-client.js';
import { FakeClock, settle } from '#test/support/fake-clock.js';

const OPEN = {
  volumeId: 'v',
  attachmentId: 'a',
  generation: 1,
  streamIndex: 0,
  checksum: 'none',
  takesHoles: true,
} as const;

/** One address: what is asked there is counted, and answered as the test says. */
class PretendWay {
  nodeId = 'one';
  /** undefined: never answers. */
  answers: 'yes' | StorageError | undefined = 'yes';
  readonly calls: string[] = [];
  readonly awaiting = new Set<() => void>();
  readonly sessions: {
    readonly events: SessionEvents;
    readonly sent: number[];
    closed: boolean;
  }[] = [];

  constructor(readonly address: string) {}

  get client(): StorageClient {
    const call = <Reply>(name: string, reply: Reply): Promise<Reply> => {
      this.calls.push(name);
      if (this.answers === undefined) return new Promise(() => undefined);
      return this.answers === 'yes' ? Promise.resolve(reply) : Promise.reject(this.answers);
    };
    return {
      address: this.address,
      getNode: (timeoutMs?: number) => {
        assert(timeoutMs === 5000 || timeoutMs === undefined);
        return call('getNode', { nodeId: this.nodeId } as NodeMessage);
      },
      listVolumes: () => call('listVolumes', []),
      deleteVolume: () => call('deleteVolume', undefined),
      openSession: (_open: unknown, events: SessionEvents): StorageSession => {
        const session = { events, sent: [] as number[], closed: false };
        this.sessions.push(session);
        return {
          send: (sequence) => session.sent.push(sequence),
          close: () => {
            session.closed = true;
          },
        };
      },
      onceConnected: (callback: () => void) => {
        this.awaiting.add(callback);
        return () => this.awaiting.delete(callback);
      },
      close: () => this.calls.push('close'),
    } as unknown as StorageClient;
  }
}

const REFUSED = new StorageError('unavailable', 'no node answers at a:1: connection refused');

function pretendRoutes(count = 2): { routes: NodeRoutes; ways: PretendWay[]; clock: FakeClock } {
  const clock = new FakeClock();
  const ways = ['a:1', 'b:1', 'c:1'].slice(0, count).map((address) => new PretendWay(address));
  const routes = new NodeRoutes({
    addresses: ways.map(({ address }) => address),
    create: (address) => {
      const way = ways.find((one) => one.address === address);
      assert(way);
      return way.client;
    },
    answerTimeoutMs: 5000,
    clock,
  });
  return { routes, ways, clock };
}

function deaf(ended: StorageError[] = []): SessionEvents {
  return {
    opened: () => undefined,
    completed: () => undefined,
    verifierSeen: () => undefined,
    resized: () => undefined,
    ended: (reason) => ended.push(reason),
  };
}

describe('a node with several addresses', () => {
  it('is used at the first that answers, and asks nothing of the others', async () => {
    const { routes, ways } = pretendRoutes();
    await routes.listVolumes();
    await routes.deleteVolume({} as never);
    assert.deepEqual(ways[0]?.calls, ['getNode', 'listVolumes', 'deleteVolume']);
    assert.deepEqual(ways[1]?.calls, []);
  });

  it('is sought at the next at once where one refuses', async () => {
    const { routes, ways, clock } = pretendRoutes();
    assert(ways[0]);
    ways[0].answers = REFUSED;
    await routes.listVolumes();
    assert.deepEqual(ways[1]?.calls, ['getNode', 'listVolumes']);
    assert.equal(clock.timerCount, 0);
  });

  it('is sought at the next after 250 ms where one is silent', async () => {
    const { routes, ways, clock } = pretendRoutes();
    assert(ways[0]);
    ways[0].answers = undefined;
    const listed = routes.listVolumes();
    await clock.advance(249);
    assert.deepEqual(ways[1]?.calls, []);
    await clock.advance(1);
    await listed;
    assert.deepEqual(ways[1].calls, ['getNode', 'listVolumes']);
  });

  it('is left at an address when a session there ends without an answer, and not for what it refused', async () => {
    const { routes, ways } = pretendRoutes();
    await routes.listVolumes();
    for (const reason of [new StorageError('fenced', 'another writer'), REFUSED]) {
      const ended: StorageError[] = [];
      routes.openSession(OPEN, deaf(ended));
      await settle();
      const session = ways[0]?.sessions.at(-1);
      assert(session, reason.kind);
      session.events.ended(reason);
      assert.deepEqual(ended, [reason]);
    }
    const session = routes.openSession(OPEN, deaf());
    await settle();
    assert.equal(ways[0]?.sessions.length, 2);
    assert.equal(ways[1]?.sessions.length, 1);
    session.send(7, readRequest(0, 512));
    assert.deepEqual(ways[1]?.sessions[0]?.sent, [7]);
    session.close();
    assert.equal(ways[1].sessions[0].closed, true);
  });

  it('is left once only, however many sessions and calls fail there', async () => {
    const { routes, ways } = pretendRoutes();
    await routes.listVolumes();
    routes.openSession(OPEN, deaf());
    routes.openSession(OPEN, deaf());
    const [first, second] = ways[0]?.sessions ?? [];
    first?.events.ended(REFUSED);
    await routes.listVolumes();
    second?.events.ended(REFUSED);
    await routes.listVolumes();
    assert.deepEqual(ways[1]?.calls, ['getNode', 'listVolumes', 'listVolumes']);
  });

  it('sends a call that failed nowhere else: it may have been carried out', async () => {
    const { routes, ways } = pretendRoutes();
    await routes.listVolumes();
    assert(ways[0]);
    ways[0].answers = REFUSED;
    await assert.rejects(routes.deleteVolume({} as never), REFUSED);
    assert.deepEqual(ways[1]?.calls, []);
    await routes.deleteVolume({} as never);
    assert.deepEqual(ways[1]?.calls, ['getNode', 'deleteVolume']);
  });

  it('begins no session that was closed while the way was sought', async () => {
    const { routes, ways } = pretendRoutes();
    const ended: StorageError[] = [];
    routes.openSession(OPEN, deaf(ended)).close();
    await settle();
    assert.equal(ways[0]?.sessions.length, 0);
    assert.deepEqual(ended, []);
  });

  it('says of each address why nothing came of it', async () => {
    const { routes, ways } = pretendRoutes(3);
    for (const way of ways) {
      way.answers = new StorageError('unavailable', `no node answers at ${way.address}`);
    }
    const all = {
      kind: 'unavailable',
      message: 'no node answers at a:1; no node answers at b:1; no node answers at c:1',
    };
    await assert.rejects(routes.listVolumes(), all);
    const ended: StorageError[] = [];
    routes.openSession(OPEN, deaf(ended));
    await settle();
    assert.equal(ended[0]?.message, all.message);
  });

  it('is never another node: a volume of the same id may be a copy', async () => {
    const { routes, ways } = pretendRoutes();
    await routes.listVolumes();
    assert(ways[0] && ways[1]);
    ways[0].answers = REFUSED;
    ways[1].nodeId = 'two';
    await assert.rejects(routes.listVolumes(), REFUSED);
    await assert.rejects(routes.listVolumes(), {
      kind: 'unavailable',
      message: /^b:1 is another node \(its id is two\) than a:1 \(one\): name only .*; no node/,
    });
    assert.deepEqual(ways[1].calls, ['getNode']);
    ways[0].answers = 'yes';
    await routes.listVolumes();
    assert.equal(ways[0].calls.at(-1), 'listVolumes');
  });

  it('tells of a connection over any of them', () => {
    const { routes, ways } = pretendRoutes();
    let told = 0;
    const takeBack = routes.onceConnected(() => {
      told += 1;
    });
    for (const { awaiting } of ways) for (const connected of awaiting) connected();
    assert.equal(told, 2);
    takeBack();
    assert.deepEqual(
      ways.map(({ awaiting }) => awaiting.size),
      [0, 0],
    );
  });

  it('closes every way', () => {
    const { routes, ways } = pretendRoutes();
    routes.close();
    assert.deepEqual(
      ways.map(({ calls }) => calls),
      [['close'], ['close']],
    );
  });
});
