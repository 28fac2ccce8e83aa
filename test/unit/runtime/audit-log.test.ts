/** Goal: every record is in the audit file or, with a word why not, in the ordinary log; the work never waits for it. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import bunyan from 'bunyan';
import { AUDIT_LINES_WAITING_MAX, AuditFile } from '#daemon/runtime/audit-file.js';
import { openAuditLog, type AuditLog } from '#daemon/runtime/audit-log.js';
import { SYSTEM_CLOCK, type Clock } from '#daemon/runtime/clock.js';
import { ALLOWANCE_INTERVAL_MS, RECORDS_PER_CLIENT_MAX } from '#daemon/runtime/log-allowance.js';
import { FakeClock } from '#test/support/fake-clock.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

type LogRecord = Record<string, unknown>;

const ACT = { act: 'DeleteVolume', client: 'eve', peer: '[::1]:1', object: 'volume v1' } as const;

function loggerInto(records: LogRecord[]): bunyan {
  const stream = { write: (record: LogRecord) => records.push(record) } as never;
  return bunyan.createLogger({ name: 'test', streams: [{ type: 'raw', level: 'error', stream }] });
}

function open(
  file: string | undefined,
  records: LogRecord[] = [],
  clock: Clock = SYSTEM_CLOCK,
): Promise<AuditLog> {
  const logger = loggerInto(records);
  return openAuditLog({ program: 'blkferry-node', file, logger, clock });
}

function recordsOf(file: string): LogRecord[] {
  const lines = fs.readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as LogRecord);
}

describe('the audit log', () => {
  it('appends one record for each act to its file, which is for its owner alone', async () => {
    const file = path.join(temporaryFolder(), 'audit.log');
    for (const result of ['done', 'failed'] as const) {
      const audit = await open(file);
      audit.record({ ...ACT, result, ...(result === 'failed' ? { reason: 'in use' } : {}) });
      await audit.close();
    }
    const [first, second] = recordsOf(file);
    assert.equal(first?.['audit'], true);
    assert.equal(first['event'], 'act_done');
    assert.equal(first['client'], 'eve');
    assert.equal(first['object'], 'volume v1');
    assert.equal(first['msg'], 'eve: DeleteVolume volume v1: done');
    assert.equal(second?.['msg'], 'eve: DeleteVolume volume v1: failed: in use');
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  });

  it('begins a new file when its own was renamed', async () => {
    const file = path.join(temporaryFolder(), 'audit.log');
    const audit = await open(file);
    audit.record({ ...ACT, result: 'done' });
    await audit.close();
    const again = await open(file);
    fs.renameSync(file, `${file}.1`);
    again.record({ ...ACT, object: 'volume v2', result: 'done' });
    await again.close();
    assert.equal(recordsOf(`${file}.1`).length, 1);
    assert.deepEqual(
      recordsOf(file).map(({ object }) => object),
      ['volume v2'],
    );
  });

  it('without a file goes to the ordinary log, also where that has only errors', async () => {
    const records: LogRecord[] = [];
    const audit = await open(undefined, records);
    audit.record({ ...ACT, result: 'denied', reason: 'no right' });
    assert.deepEqual(
      records.map(({ audit: isAudit, event }) => [isAudit, event]),
      [[true, 'act_denied']],
    );
  });

  it('has so many denied acts of one client in a minute, then how many more there were', async () => {
    const [clock, records] = [new FakeClock(), [] as LogRecord[]];
    const audit = await open(undefined, records, clock);
    const deny = (index: number): void => {
      audit.record({ ...ACT, object: `volume ${index}`, result: 'denied', reason: 'no right' });
    };
    for (let index = 0; index < RECORDS_PER_CLIENT_MAX; index += 1) deny(index);
    assert.equal(records.length, RECORDS_PER_CLIENT_MAX);
    deny(RECORDS_PER_CLIENT_MAX);
    deny(0);
    assert.equal(records.length, RECORDS_PER_CLIENT_MAX);
    audit.record({ ...ACT, client: 'bob', result: 'denied' });
    assert.equal(records.at(-1)?.['client'], 'bob', 'another client has its own');
    await clock.advance(ALLOWANCE_INTERVAL_MS);
    const { event, audit: isAudit, leftOutCount, sameCount, msg } = records.at(-1) ?? {};
    assert.deepEqual(
      [event, isAudit, leftOutCount, sameCount],
      ['denied_acts_left_out', true, 2, 1],
    );
    assert.equal(
      msg,
      'eve: 2 more acts within a minute were denied and not recorded, 1 of them like some that were',
    );
  });

  it('has every act of those who have the right, done or failed, however many', async () => {
    const records: LogRecord[] = [];
    const audit = await open(undefined, records);
    for (let index = 0; index <= RECORDS_PER_CLIENT_MAX; index += 1) {
      audit.record({ ...ACT, result: 'done' });
      audit.record({ ...ACT, result: 'failed', reason: 'in use' });
    }
    assert.equal(records.length, 2 * (RECORDS_PER_CLIENT_MAX + 1));
  });

  it('tells at its end what it left out until then, in its file', async () => {
    const file = path.join(temporaryFolder(), 'audit.log');
    const audit = await open(file);
    for (let time = 0; time < 3; time += 1) audit.record({ ...ACT, result: 'denied' });
    await audit.close();
    assert.deepEqual(
      recordsOf(file).map(({ event, leftOutCount }) => [event, leftOutCount]),
      [
        ['act_denied', undefined],
        ['denied_acts_left_out', 2],
      ],
    );
  });

  it('has short records, however long the names in a request are', async () => {
    const records: LogRecord[] = [];
    const audit = await open(undefined, records);
    const name = 'n'.repeat(8 * 1024 * 1024);
    const details = { name, attachmentIds: Array.from({ length: 1000 }, () => name), force: true };
    audit.record({ ...ACT, client: name, object: name, details, result: 'failed', reason: name });
    assert.ok(JSON.stringify(records[0]).length < 32 * 1024);
    assert.equal((records[0]?.['details'] as { force: unknown }).force, true);
  });

  it('keeps a record in the ordinary log when the disk is full', async (t) => {
    if (!fs.existsSync('/dev/full')) {
      t.skip('there is no /dev/full');
      return;
    }
    await assert.rejects(open('/dev/full'), {
      message:
        'the audit file cannot be opened: /dev/full is no ordinary file; choose another one with audit.file',
    });
    const file = path.join(temporaryFolder(), 'audit.log');
    const records: LogRecord[] = [];
    const audit = await open(file, records);
    fs.rmSync(file);
    fs.mkdirSync(file);
    audit.record({ ...ACT, result: 'done' });
    await audit.close();
    assert.match(
      String(records[0]?.['msg']),
      /cannot be written \(.*EISDIR.*its record is kept here/,
    );
    assert.match(String(records[0]?.['record']), /DeleteVolume volume v1: done/);
  });

  it('lets only so many records wait for the disk', async () => {
    const file = path.join(temporaryFolder(), 'audit.log');
    const lost: string[] = [];
    const audit = await AuditFile.open(file, {
      clock: SYSTEM_CLOCK,
      lost: (line, reason) => lost.push(`${line.trimEnd()}: ${reason}`),
    });
    // The first is taken at once; the others wait in the same turn.
    for (let index = 0; index <= AUDIT_LINES_WAITING_MAX; index += 1) audit.write(`${index}\n`);
    assert.deepEqual(lost, []);
    audit.write('one more\n');
    assert.deepEqual(lost, ['one more: 1024 records wait for it already']);
    await audit.close();
    const lines = fs.readFileSync(file, 'utf8').split('\n');
    assert.equal(lines.length - 1, AUDIT_LINES_WAITING_MAX + 1);
  });
});
