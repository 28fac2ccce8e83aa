/**
 * Goal: whatever clients do, the log grows by so much in a minute and no more, and says what it left out. Each limit
 * at its number and one above.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ALLOWANCE_INTERVAL_MS,
  CLIENTS_TOLD_APART_MAX,
  LogAllowance,
  RECORDS_PER_CLIENT_MAX,
  type LeftOut,
} from '#daemon/runtime/log-allowance.js';
import { TEXT_CHARS_MAX } from '#daemon/runtime/short-text.js';
import { FakeClock } from '#test/support/fake-clock.js';

interface Bench {
  readonly clock: FakeClock;
  readonly allowance: LogAllowance;
  readonly told: LeftOut[];
}

function bench(): Bench {
  const [clock, told] = [new FakeClock(), [] as LeftOut[]];
  const allowance = new LogAllowance(clock, (leftOut) => told.push(leftOut));
  return { clock, allowance, told };
}

/** @returns how many of so many different records are written */
function writtenOf({ allowance }: Bench, client: string, count: number, from = 0): number {
  let written = 0;
  for (let index = 0; index < count; index += 1)
    written += Number(allowance.take(client, String(from + index)));
  return written;
}

describe('the log allowance of one client', () => {
  it('is so many different records in a minute, and one more is left out and told then', async () => {
    const made = bench();
    assert.equal(writtenOf(made, 'eve', RECORDS_PER_CLIENT_MAX), RECORDS_PER_CLIENT_MAX);
    await made.clock.advance(ALLOWANCE_INTERVAL_MS);
    assert.deepEqual(made.told, [], 'nothing was left out');
    assert.equal(writtenOf(made, 'eve', RECORDS_PER_CLIENT_MAX + 1), RECORDS_PER_CLIENT_MAX);
    await made.clock.advance(ALLOWANCE_INTERVAL_MS - 1);
    assert.deepEqual(made.told, []);
    await made.clock.advance(1);
    assert.deepEqual(made.told, [{ client: 'eve', count: 1, sameCount: 0 }]);
  });

  it('has the same record once, and counts it again for what was left out', async () => {
    const made = bench();
    assert.equal(made.allowance.take('eve', 'a'), true);
    for (let time = 0; time < 3; time += 1) assert.equal(made.allowance.take('eve', 'a'), false);
    assert.equal(
      writtenOf(made, 'eve', RECORDS_PER_CLIENT_MAX + 4),
      RECORDS_PER_CLIENT_MAX - 1,
      'what was the same took no place',
    );
    await made.clock.advance(ALLOWANCE_INTERVAL_MS);
    assert.deepEqual(made.told, [{ client: 'eve', count: 8, sameCount: 3 }]);
  });

  it('begins anew when its minute is over, and is not told twice', async () => {
    const made = bench();
    writtenOf(made, 'eve', RECORDS_PER_CLIENT_MAX + 1);
    await made.clock.advance(ALLOWANCE_INTERVAL_MS);
    assert.equal(writtenOf(made, 'eve', 1), 1);
    await made.clock.advance(2 * ALLOWANCE_INTERVAL_MS);
    assert.equal(made.told.length, 1);
  });

  it('takes nothing from another client', () => {
    const made = bench();
    writtenOf(made, 'eve', 10 * RECORDS_PER_CLIENT_MAX);
    assert.equal(writtenOf(made, 'host-a', RECORDS_PER_CLIENT_MAX), RECORDS_PER_CLIENT_MAX);
  });

  it('is told at once at the end of the program', () => {
    const made = bench();
    writtenOf(made, 'eve', RECORDS_PER_CLIENT_MAX + 2);
    made.allowance.settle();
    assert.deepEqual(made.told, [{ client: 'eve', count: 2, sameCount: 0 }]);
    assert.equal(made.clock.timerCount, 0);
  });

  it('remembers a record of any length by its beginning', () => {
    const { allowance } = bench();
    const long = 'x'.repeat(TEXT_CHARS_MAX);
    assert.equal(allowance.take('eve', `${long}a`), true);
    assert.equal(allowance.take('eve', `${long}b`), false);
    assert.equal(allowance.take('eve', long), true);
  });
});

describe('the log allowance of many clients', () => {
  it('is for so many each their own, and for all beyond one together', async () => {
    const made = bench();
    for (let client = 0; client < CLIENTS_TOLD_APART_MAX; client += 1)
      assert.equal(writtenOf(made, `client-${client}`, 1), 1);
    let written = 0;
    for (let index = 0; index <= RECORDS_PER_CLIENT_MAX; index += 1)
      written += writtenOf(made, `stranger-${index}`, 1, index);
    assert.equal(written, RECORDS_PER_CLIENT_MAX);
    assert.equal(writtenOf(made, 'client-0', 1, 1), 1, 'who was there before has its own still');
    await made.clock.advance(ALLOWANCE_INTERVAL_MS);
    assert.deepEqual(made.told, [{ client: 'other clients', count: 1, sameCount: 0 }]);
  });

  it('writes no more than that in a minute, and remembers no more, however many there are', async () => {
    const made = bench();
    let written = 0;
    for (let client = 0; client < 10_000; client += 1)
      written += writtenOf(made, `stranger-${client}`, RECORDS_PER_CLIENT_MAX + 1, 100 * client);
    const accounts = CLIENTS_TOLD_APART_MAX + 1;
    assert.equal(written, accounts * RECORDS_PER_CLIENT_MAX);
    assert.equal(made.clock.timerCount, accounts, 'one for each account');
    await made.clock.advance(ALLOWANCE_INTERVAL_MS);
    assert.equal(made.told.length, accounts);
    const leftOut = made.told.reduce((sum, { count }) => sum + count, 0);
    assert.equal(leftOut, 10_000 * (RECORDS_PER_CLIENT_MAX + 1) - written);
  });

  it('has room for a new one as soon as the minute of the oldest is over', async () => {
    const made = bench();
    writtenOf(made, 'oldest', 1);
    await made.clock.advance(1000);
    for (let client = 1; client < CLIENTS_TOLD_APART_MAX; client += 1)
      writtenOf(made, `client-${client}`, 1);
    writtenOf(made, 'stranger', RECORDS_PER_CLIENT_MAX);
    await made.clock.advance(ALLOWANCE_INTERVAL_MS - 1000);
    assert.equal(writtenOf(made, 'new', RECORDS_PER_CLIENT_MAX), RECORDS_PER_CLIENT_MAX);
    assert.equal(writtenOf(made, 'one more', 1, 100), 0, 'it shares with the stranger of before');
  });
});
