/** What NBD clients may be owed together, and who gives way when that is used up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  OWED_BYTES_MAX,
  ReplyBudget,
  SHORT_REQUEST_BYTES,
  type Debtor,
  type ReplyAccount,
} from '#daemon/frontend/reply-budget.js';
import { FakeClock } from '#test/support/fake-clock.js';

const MIB = 1024 * 1024;
const STALLED_MS = 10_000;

class Client implements Debtor {
  readonly account: ReplyAccount;
  taken = 0;
  told = '';

  constructor(readonly budget: ReplyBudget) {
    this.account = budget.open(this);
  }

  takenBytes(): number {
    return this.account.owedBytes === 0 ? Infinity : this.taken;
  }

  giveWay(reason: string): void {
    this.told = reason;
    this.account.close();
  }

  /** Asks for more until it may not. */
  askAll(requestBytes = MIB): void {
    while (this.account.hasRoom(requestBytes))
      this.account.owes(this.account.owedBytes + requestBytes);
  }
}

function budgetOf(mib: number): { budget: ReplyBudget; clock: FakeClock } {
  const clock = new FakeClock();
  const limits = { bytesMax: mib * MIB, stalledTimeoutMs: STALLED_MS };
  return { budget: new ReplyBudget(limits, clock), clock };
}

describe('the budget of replies', () => {
  it('gives one client all that one may have', () => {
    const { budget } = budgetOf(512);
    const client = new Client(budget);
    client.askAll();
    assert.equal(client.account.owedBytes, OWED_BYTES_MAX);
  });

  it('is never passed by many that ask for a little at a time, and has something left for a new one', () => {
    const { budget } = budgetOf(512);
    const clients = Array.from({ length: 1000 }, () => new Client(budget));
    for (let round = 0; round < 100; round += 1) for (const one of clients) one.askAll(4096);
    assert.ok(budget.owedBytes < 512 * MIB, String(budget.owedBytes));
    const another = new Client(budget);
    assert.equal(another.account.hasRoom(4096), true);
    another.account.owes(4096);
    assert.equal(another.account.hasRoom(4096), true, 'and a second request');
  });

  it('is never passed, whatever is asked in whatever order', () => {
    for (const requests of [[32 * MIB], [4096, 32 * MIB], [MIB, 4096], [4096, MIB, 32 * MIB]]) {
      const { budget } = budgetOf(512);
      const clients = Array.from({ length: 1000 }, () => new Client(budget));
      for (const bytes of requests) for (const one of clients) one.askAll(bytes);
      assert.ok(budget.owedBytes <= 512 * MIB, `${requests.join(' ')}: ${budget.owedBytes}`);
      assert.ok(budget.owedBytes > 256 * MIB, `${requests.join(' ')}: ${budget.owedBytes}`);
    }
  });

  it('has something left for short requests, however many ask for much and take nothing', () => {
    for (const bytes of [SHORT_REQUEST_BYTES + 1, MIB, 32 * MIB]) {
      const { budget } = budgetOf(256);
      for (let client = 0; client < 1000; client += 1) new Client(budget).askAll(bytes);
      const last = new Client(budget);
      assert.equal(last.account.hasRoom(bytes), false);
      for (let client = 0; client < 200; client += 1) {
        const { account } = new Client(budget);
        assert.equal(account.hasRoom(SHORT_REQUEST_BYTES), true, `${client} after ${bytes}`);
        account.owes(SHORT_REQUEST_BYTES);
      }
    }
  });

  it('lets those wait in turn who are owed nothing, and wakes them one by one', () => {
    const { budget } = budgetOf(128);
    const greedy = [new Client(budget), new Client(budget), new Client(budget)];
    for (const one of greedy) one.account.owes(32 * MIB);
    const order: number[] = [];
    const waiting = [0, 1, 2].map((index) => {
      const client = new Client(budget);
      assert.equal(client.account.hasRoom(16 * MIB), false);
      client.account.whenRoom(16 * MIB, () => {
        order.push(index);
        client.account.owes(16 * MIB);
      });
      return client;
    });
    greedy[0]?.account.owes(16 * MIB);
    assert.deepEqual(order, [0]);
    waiting[1]?.account.close();
    greedy[1]?.account.owes(0);
    assert.deepEqual(order, [0, 2]);
  });

  it('disconnects who has taken nothing while others waited, and nobody else', async () => {
    const { budget, clock } = budgetOf(64);
    const [still, slow, good] = [new Client(budget), new Client(budget), new Client(budget)];
    still.account.owes(32 * MIB);
    slow.account.owes(32 * MIB);
    let isWoken = false;
    good.account.whenRoom(4096, () => {
      isWoken = true;
    });
    await clock.advance(STALLED_MS - 1);
    slow.taken += 1;
    assert.deepEqual([still.told, isWoken], ['', false]);
    await clock.advance(1);
    assert.equal(
      still.told,
      `it has taken nothing of ${32 * MIB} bytes for 10000 ms while others waited (nbd.stalled_timeout, nbd.reply_bytes_max)`,
    );
    assert.deepEqual([slow.told, isWoken], ['', true]);
  });

  it('disconnects nobody while nobody waits', async () => {
    const { budget, clock } = budgetOf(64);
    const still = new Client(budget);
    still.account.owes(40 * MIB);
    await clock.advance(10 * STALLED_MS);
    assert.equal(still.told, '');
  });

  it('gives back what a client was owed that is gone', () => {
    const { budget } = budgetOf(64);
    const client = new Client(budget);
    client.account.owes(64 * MIB);
    client.account.close();
    client.account.owes(5);
    client.account.close();
    assert.equal(budget.owedBytes, 0);
  });
});
