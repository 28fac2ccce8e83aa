/** Goal: what others cause again and again fills no log, and each time of it is counted. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ALLOWANCE_INTERVAL_MS,
  CLIENTS_TOLD_APART_MAX,
  RECORDS_PER_CLIENT_MAX,
} from '#daemon/runtime/log-allowance.js';
import { RepeatedWarnings } from '#daemon/runtime/repeated-warnings.js';
import { TEXT_CHARS_MAX } from '#daemon/runtime/short-text.js';
import { FakeClock } from '#test/support/fake-clock.js';

type LogRecord = Record<string, unknown>;

describe('repeated warnings', () => {
  function warned(): {
    clock: FakeClock;
    warnings: RepeatedWarnings;
    logged: string[];
    records: LogRecord[];
  } {
    const [clock, logged, records] = [new FakeClock(), [] as string[], [] as LogRecord[]];
    const warn = (fields: object, message: string): void => {
      logged.push(message);
      records.push({ ...fields });
    };
    return { clock, warnings: new RepeatedWarnings({ warn }, clock), logged, records };
  }

  it('are logged once in a while, with how often they were left out', async () => {
    const { clock, warnings, logged, records } = warned();
    for (let time = 0; time < 3; time += 1)
      warnings.warn('a', { event: 'refused', client: 'eve' }, 'a is refused');
    await clock.advance(ALLOWANCE_INTERVAL_MS);
    warnings.warn('a', { event: 'refused', client: 'eve' }, 'a is refused');
    assert.deepEqual(logged, [
      'a is refused',
      'refused of eve: 2 more within a minute were not logged, 2 of them like some that were',
      'a is refused',
    ]);
    assert.deepEqual(records[1], {
      event: 'warnings_left_out',
      of: 'refused',
      client: 'eve',
      leftOutCount: 2,
      sameCount: 2,
    });
  });

  it('of one client about ever new things are logged so many times in a minute', () => {
    const { warnings, logged } = warned();
    const warn = (thing: number): void => {
      warnings.warn(String(thing), { event: 'refused', client: 'eve' }, `${thing} is refused`);
    };
    for (let thing = 0; thing < RECORDS_PER_CLIENT_MAX; thing += 1) warn(thing);
    assert.equal(logged.length, RECORDS_PER_CLIENT_MAX);
    warn(RECORDS_PER_CLIENT_MAX);
    assert.equal(logged.length, RECORDS_PER_CLIENT_MAX);
    assert.deepEqual(warnings.counts, [{ event: 'refused', count: RECORDS_PER_CLIENT_MAX + 1 }]);
    warnings.settle();
    assert.equal(
      logged.at(-1),
      'refused of eve: 1 more within a minute were not logged, 0 of them like some that were',
    );
  });

  it('of different events are different, also with the same key, and leave each other room', () => {
    const { warnings, logged } = warned();
    warnings.warn('a', { event: 'refused' }, 'refused');
    warnings.warn('a', { event: 'broken' }, 'broken');
    assert.deepEqual(logged, ['refused', 'broken']);
    for (let peer = 0; peer < 2 * CLIENTS_TOLD_APART_MAX; peer += 1) {
      for (let thing = 0; thing <= RECORDS_PER_CLIENT_MAX; thing += 1)
        warnings.warn(`${thing}`, { event: 'refused', peer: `${peer}` }, 'refused');
    }
    warnings.warn('b', { event: 'broken' }, 'broken, too');
    assert.equal(logged.at(-1), 'broken, too');
  });

  it('of a machine are its own, from whichever port it comes', () => {
    const { warnings, logged } = warned();
    for (const address of ['10.0.0.5', '2001:db8::5']) {
      for (let port = 40_000; port < 40_100; port += 1)
        warnings.warn(`${port}`, { event: 'refused', peer: `client ${address}:${port}` }, address);
    }
    // A name that was proved counts more than the place.
    warnings.warn('x', { event: 'refused', peer: 'client 10.0.0.5:40100', client: 'eve' }, 'eve');
    assert.equal(logged.filter((line) => line === '10.0.0.5').length, RECORDS_PER_CLIENT_MAX);
    assert.equal(logged.filter((line) => line === '2001:db8::5').length, RECORDS_PER_CLIENT_MAX);
    assert.equal(logged.at(-1), 'eve');
  });

  it('are short, however long what they tell of is', () => {
    const { warnings, logged, records } = warned();
    const texts = [TEXT_CHARS_MAX, TEXT_CHARS_MAX + 1].map((chars) => 'é'.repeat(chars));
    for (const asked of texts) warnings.warn(asked, { event: 'refused', asked }, asked);
    assert.deepEqual(logged, [texts[0], `${texts[0]}...`]);
    assert.deepEqual(
      records.map(({ asked }) => asked),
      logged,
    );
  });

  it('count each time by event, whatever was logged or is remembered', () => {
    const { warnings } = warned();
    const peers = 100 * CLIENTS_TOLD_APART_MAX;
    assert.deepEqual(warnings.counts, []);
    for (let peer = 0; peer < peers; peer += 1)
      warnings.warn('', { event: 'refused', peer: String(peer) }, 'refused');
    for (let time = 0; time < 3; time += 1) warnings.warn('a', { event: 'broken' }, 'broken');
    assert.deepEqual(warnings.counts, [
      { event: 'broken', count: 3 },
      { event: 'refused', count: peers },
    ]);
  });
});
