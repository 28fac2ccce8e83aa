/** Goal: what others cause again and again fills no log, and each time of it is counted. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  REPEATED_WARNING_INTERVAL_MS,
  RepeatedWarnings,
  WARNINGS_REMEMBERED_MAX,
} from '#daemon/runtime/repeated-warnings.js';
import { FakeClock } from '#test/support/fake-clock.js';

describe('repeated warnings', () => {
  function warned(): { clock: FakeClock; warnings: RepeatedWarnings; logged: string[] } {
    const [clock, logged] = [new FakeClock(), [] as string[]];
    const warn = (_fields: object, message: string): number => logged.push(message);
    return { clock, warnings: new RepeatedWarnings({ warn }, clock), logged };
  }

  it('are logged once in a while, with how often they were left out', async () => {
    const { clock, warnings, logged } = warned();
    for (let time = 0; time < 3; time += 1)
      warnings.warn('a', { event: 'refused' }, 'a is refused');
    await clock.advance(REPEATED_WARNING_INTERVAL_MS);
    warnings.warn('a', { event: 'refused' }, 'a is refused');
    assert.deepEqual(logged, [
      'a is refused',
      'a is refused, and was so 2 times since it was last logged',
    ]);
  });

  it('of different events are different, also with the same key', () => {
    const { warnings, logged } = warned();
    warnings.warn('a', { event: 'refused' }, 'refused');
    warnings.warn('a', { event: 'broken' }, 'broken');
    assert.deepEqual(logged, ['refused', 'broken']);
  });

  it('count each time by event, whatever was logged or is remembered', () => {
    const { warnings } = warned();
    assert.deepEqual(warnings.counts, []);
    for (let peer = 0; peer < 2 * WARNINGS_REMEMBERED_MAX; peer += 1)
      warnings.warn(String(peer), { event: 'refused' }, 'refused');
    for (let time = 0; time < 3; time += 1) warnings.warn('a', { event: 'broken' }, 'broken');
    assert.deepEqual(warnings.counts, [
      { event: 'broken', count: 3 },
      { event: 'refused', count: 2 * WARNINGS_REMEMBERED_MAX },
    ]);
  });
});
