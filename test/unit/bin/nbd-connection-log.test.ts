/** Goal: no NBD client fills the daemon's log, whatever it asks for, fails in or only looks at. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NbdConnectionLog } from '#daemon/bin/nbd-connection-log.js';
import { ALLOWANCE_INTERVAL_MS, RECORDS_PER_CLIENT_MAX } from '#daemon/runtime/log-allowance.js';
import { RepeatedWarnings } from '#daemon/runtime/repeated-warnings.js';
import { FakeClock } from '#test/support/fake-clock.js';

interface Bench {
  readonly clock: FakeClock;
  readonly log: NbdConnectionLog;
  readonly refusals: RepeatedWarnings;
  /** As in "warn client_failed". */
  readonly logged: string[];
}

function bench(): Bench {
  const [clock, logged] = [new FakeClock(), [] as string[]];
  const into =
    (level: string) =>
    (fields: object): void => {
      logged.push(`${level} ${String((fields as { event: unknown }).event)}`);
    };
  const refusals = new RepeatedWarnings({ warn: into('warn') }, clock);
  const logger = { info: into('info'), debug: into('debug') };
  return { clock, log: new NbdConnectionLog(logger as never, refusals, clock), refusals, logged };
}

/** Each from its connection of its own. */
const EVENTS = ['protocolError', 'handshakeEnded'] as const;

describe('the log of NBD clients', () => {
  for (const event of EVENTS) {
    it(`has so many different sentences of one machine in a minute: ${event}`, async () => {
      const { clock, log, logged } = bench();
      for (let index = 0; index < RECORDS_PER_CLIENT_MAX; index += 1)
        log.eventsOf('10.0.0.5')[event](`asked for ${index}`);
      assert.equal(logged.length, RECORDS_PER_CLIENT_MAX);
      log.eventsOf('10.0.0.5')[event]('asked for one more');
      assert.equal(logged.length, RECORDS_PER_CLIENT_MAX);
      log.eventsOf('10.0.0.6')[event]('asked for 0');
      assert.equal(logged.length, RECORDS_PER_CLIENT_MAX + 1);
      await clock.advance(ALLOWANCE_INTERVAL_MS);
      const level = event === 'protocolError' ? 'warn' : 'info';
      assert.equal(logged.at(-1), `${level} warnings_left_out`);
    });

    it(`takes all who come through the unix socket for one: ${event}`, () => {
      const { log, logged } = bench();
      for (let index = 0; index <= RECORDS_PER_CLIENT_MAX; index += 1)
        log.eventsOf(`unix#${index}`)[event](`asked for ${index}`);
      assert.equal(logged.length, RECORDS_PER_CLIENT_MAX);
    });
  }

  it('has so many refusals of one identity, wherever it comes from', () => {
    const { log, logged } = bench();
    for (let index = 0; index <= RECORDS_PER_CLIENT_MAX; index += 1)
      log.eventsOf(`10.0.0.${index}`).refused(`disk${index}`, ['vm-7'], 'no rule');
    assert.equal(logged.length, RECORDS_PER_CLIENT_MAX);
    log.eventsOf('10.0.0.1').refused('disk1', ['vm-8'], 'no rule');
    assert.equal(logged.length, RECORDS_PER_CLIENT_MAX + 1);
  });

  it('counts those who fail or are refused, and not those who only look', () => {
    const { log, refusals } = bench();
    const events = log.eventsOf('10.0.0.5');
    events.handshakeEnded('the client ended the negotiation');
    events.protocolError('no NBD');
    events.refused('disk0', [], 'no rule');
    assert.deepEqual(refusals.counts, [
      { event: 'client_failed', count: 1 },
      { event: 'export_refused', count: 1 },
    ]);
  });
});
