/**
 * Goal: systemd is told the truth at the right moment, in the words of sd_notify(3), and a manager that is
 * not there or does not listen changes nothing for the guests. A fake clock, and a socket that remembers.
 */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { createLogger } from '#daemon/runtime/logger.js';
import { ServiceManager } from '#daemon/runtime/service-manager.js';
import { FakeClock } from '#test/support/fake-clock.js';

const PROCESS_ID = 4711;

describe('ServiceManager', () => {
  let clock: FakeClock;
  let told: { socketPath: string; lines: string[] }[];
  let refusal: Error | undefined;
  let warnings: string[];
  let status: string;

  beforeEach(() => {
    clock = new FakeClock();
    told = [];
    refusal = undefined;
    warnings = [];
    status = 'nothing is attached';
  });

  function manager(environment: Record<string, string>): ServiceManager {
    const logger = createLogger('test', 'error');
    logger.warn = ((fields: { event: string }) => warnings.push(fields.event)) as never;
    return new ServiceManager({
      environment,
      processId: PROCESS_ID,
      clock,
      logger,
      send: (socketPath, message) => {
        if (refusal !== undefined) throw refusal;
        told.push({ socketPath, lines: message.split('\n') });
      },
    });
  }

  const allLines = (): string[] => told.flatMap(({ lines }) => lines);
  const countOf = (line: string): number => allLines().filter((one) => one === line).length;

  it('says nothing, and keeps no timer, without NOTIFY_SOCKET', () => {
    const service = manager({ WATCHDOG_USEC: '30000000' });
    service.ready(() => status);
    service.stopping(1000);
    assert.deepEqual(told, []);
    assert.equal(clock.timerCount, 0);
  });

  it('says READY=1 together with its status, to files and to abstract names', () => {
    for (const socketPath of ['/run/systemd/notify', '@/org/manager']) {
      manager({ NOTIFY_SOCKET: socketPath }).ready(() => status);
      const lines = ['READY=1', 'STATUS=nothing is attached'];
      assert.deepEqual(told.pop(), { socketPath, lines });
    }
  });

  it('says what it waits for before it is ready, and nothing of that afterwards', () => {
    const service = manager({ NOTIFY_SOCKET: '/n' });
    service.starting('1 volume attached: 1 connecting');
    service.starting('1 volume attached: 1 connecting');
    assert.deepEqual(allLines(), ['STATUS=1 volume attached: 1 connecting']);
    service.ready(() => status);
    service.starting('1 volume attached: 1 connecting');
    assert.deepEqual(
      told.slice(1).flatMap(({ lines }) => lines),
      ['READY=1', 'STATUS=nothing is attached'],
    );
  });

  it('does not talk to a manager outside of the machine', () => {
    manager({ NOTIFY_SOCKET: 'vsock:2:1234' }).ready(() => status);
    assert.deepEqual(told, []);
  });

  it('gives a sign of life at least twice in the time of the watchdog', async () => {
    manager({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '6000000' }).ready(() => status);
    assert.equal(countOf('WATCHDOG=1'), 1);
    for (const beats of [2, 3, 4]) {
      await clock.advance(3000);
      assert.equal(countOf('WATCHDOG=1'), beats);
    }
  });

  it('gives none while a part of the program does not answer, until it stops', async () => {
    let isAlive = true;
    const service = manager({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '6000000' });
    service.ready(
      () => status,
      () => isAlive,
    );
    for (const [alive, beats] of [
      [false, 1],
      [false, 1],
      [true, 2],
      [false, 2],
    ] as const) {
      isAlive = alive;
      await clock.advance(3000);
      assert.equal(countOf('WATCHDOG=1'), beats);
    }
    service.stopping(60_000);
    await clock.advance(3000);
    assert.equal(countOf('WATCHDOG=1'), 3);
  });

  it('gives it also while it stops, which may take longer than the watchdog', async () => {
    const service = manager({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '6000000' });
    service.ready(() => status);
    service.stopping(60_000);
    const before = countOf('WATCHDOG=1');
    await clock.advance(9000);
    assert.equal(countOf('WATCHDOG=1'), before + 3);
  });

  it('gives none when nobody asked, or another process was asked', async () => {
    const others = [
      {},
      { WATCHDOG_USEC: '6000000', WATCHDOG_PID: '1' },
      { WATCHDOG_USEC: '0' },
      { WATCHDOG_USEC: 'soon' },
    ];
    for (const environment of others) {
      manager({ NOTIFY_SOCKET: '/n', ...environment }).ready(() => status);
    }
    await clock.advance(60_000);
    assert.equal(countOf('WATCHDOG=1'), 0);
    manager({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '6000000', WATCHDOG_PID: '4711' }).ready(
      () => status,
    );
    assert.equal(countOf('WATCHDOG=1'), 1);
  });

  it('says its status again when it has changed, and only then', async () => {
    manager({ NOTIFY_SOCKET: '/n' }).ready(() => status);
    await clock.advance(60_000);
    assert.equal(told.length, 1);
    status = '1 volume\nattached';
    await clock.advance(10_000);
    assert.deepEqual(told.pop()?.lines, ['STATUS=1 volume attached']);
    await clock.advance(60_000);
    assert.equal(told.length, 1);
  });

  it('says STOPPING=1 and how long that may take, and no other status afterwards', async () => {
    const service = manager({ NOTIFY_SOCKET: '/n' });
    service.ready(() => status);
    service.stopping(30_000.4);
    assert.deepEqual(told.pop()?.lines, [
      'STOPPING=1',
      'EXTEND_TIMEOUT_USEC=30000400',
      'STATUS=stopping: answering and flushing what is in hand',
    ]);
    status = '1 volume attached';
    await clock.advance(60_000);
    assert.equal(told.length, 1);
  });

  it('goes on when the manager does not listen, and warns once', async () => {
    refusal = new Error('connect ENOENT /n');
    const service = manager({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '6000000' });
    service.ready(() => status);
    await clock.advance(30_000);
    service.stopping(1000);
    assert.deepEqual(warnings, ['service_manager_lost']);
  });

  it('tells what it could not tell before as soon as the manager listens', async () => {
    refusal = new Error('send EAGAIN /n');
    manager({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '6000000' }).ready(() => status);
    refusal = undefined;
    await clock.advance(3000);
    assert.deepEqual(allLines(), ['READY=1', 'WATCHDOG=1', 'STATUS=nothing is attached']);
    await clock.advance(3000);
    assert.equal(countOf('READY=1'), 1);
  });

  it('says READY=1 once, however often it is called', () => {
    const service = manager({ NOTIFY_SOCKET: '/n' });
    service.ready(() => status);
    service.ready(() => status);
    assert.equal(countOf('READY=1'), 1);
  });
});
