/**
 * nbdinfo of libnbd as the judge of what is announced: everything a volume can do, its sizes, the list
 * of exports, and where its data is.
 */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { NbdExport } from '#test/support/nbd-server-interface.js';
import { nbdServerForSuite } from '#test/support/nbd-server.js';
import { missingPrograms, runProgram, runSuccessfully } from '#test/support/program.js';

const MIB = 1024 * 1024;

/** nbdinfo's exit status for a question answered with no. */
const NO = 2;

interface ListedExport {
  readonly 'export-name': string;
  readonly 'export-size': number;
  readonly description: string;
  readonly contexts: readonly string[];
  readonly is_read_only: boolean;
  readonly block_size_minimum: number;
  readonly block_size_preferred: number;
  readonly block_size_maximum: number;
}

interface Report {
  readonly protocol: string;
  readonly structured: boolean;
  readonly exports: readonly ListedExport[];
}

describe('nbdinfo', { skip: missingPrograms('nbdinfo', 'qemu-io') }, () => {
  const server = nbdServerForSuite();
  let writable: NbdExport;
  let readOnly: NbdExport;

  before(async () => {
    writable = await server().newExport({ sizeBytes: 64 * MIB });
    readOnly = await server().newExport({ sizeBytes: 32 * MIB, isReadOnly: true });
  });

  async function answerTo(question: readonly string[], uri: string): Promise<number | null> {
    const { status, stderr } = await runProgram('nbdinfo', [...question, uri]);
    assert.equal(stderr, '');
    return status;
  }

  const abilities = ['connect', 'read', 'write', 'cache', 'df', 'flush', 'fua', 'fast-zero'];
  for (const ability of [...abilities, 'multi-conn', 'trim', 'zero', 'structured-reply']) {
    it(`finds that a volume can ${ability}`, async () => {
      assert.equal(await answerTo(['--can', ability], writable.uri), 0);
    });
  }

  for (const ability of ['connect', 'read', 'cache', 'df', 'flush', 'fua', 'multi-conn']) {
    it(`finds that a read-only export can ${ability}`, async () => {
      assert.equal(await answerTo(['--can', ability], readOnly.uri), 0);
    });
  }

  for (const ability of ['write', 'trim', 'zero', 'fast-zero']) {
    it(`finds that a read-only export cannot ${ability}`, async () => {
      assert.equal(await answerTo(['--can', ability], readOnly.uri), NO);
    });
  }

  it('tells a read-only export from a writable one', async () => {
    assert.equal(await answerTo(['--is', 'read-only'], readOnly.uri), 0);
    assert.equal(await answerTo(['--is', 'read-only'], writable.uri), NO);
  });

  it('finds a volume neither rotational nor protected by TLS', async () => {
    assert.equal(await answerTo(['--is', 'rotational'], writable.uri), NO);
    assert.equal(await answerTo(['--is', 'tls'], writable.uri), NO);
  });

  it('is told the size in bytes', async () => {
    assert.equal(await runSuccessfully('nbdinfo', ['--size', writable.uri]), `${64 * MIB}\n`);
  });

  it('is told block sizes that clients can work with, and the longest payload', async () => {
    const report = JSON.parse(await runSuccessfully('nbdinfo', ['--json', writable.uri])) as Report;
    assert.equal(report.protocol, 'newstyle-fixed');
    assert.equal(report.structured, true);
    const entry = report.exports[0]!;
    assert.equal(entry['export-name'], writable.name);
    assert.equal(entry['export-size'], 64 * MIB);
    assert.equal(entry.block_size_minimum, 512);
    assert.equal(entry.block_size_preferred, 4096);
    assert.equal(entry.block_size_maximum, 32 * MIB);
    assert.deepEqual(entry.contexts, ['base:allocation']);
  });

  it('is told the block size that the volume was made with', async () => {
    const large = await server().newExport({ sizeBytes: MIB, blockBytes: 4096 });
    const report = JSON.parse(await runSuccessfully('nbdinfo', ['--json', large.uri])) as Report;
    assert.equal(report.exports[0]!.block_size_minimum, 4096);
  });

  it('lists every export with its name, size and description', async () => {
    const anyUri = `nbd+unix:///?socket=${writable.socketPath}`;
    const report = JSON.parse(
      await runSuccessfully('nbdinfo', ['--list', '--json', anyUri]),
    ) as Report;
    const facts = new Map(report.exports.map((entry) => [entry['export-name'], entry]));
    assert.equal(facts.get(writable.name)?.['export-size'], 64 * MIB);
    assert.equal(facts.get(writable.name)?.is_read_only, false);
    assert.match(facts.get(writable.name)?.description ?? '', new RegExp(writable.name));
    assert.equal(facts.get(readOnly.name)?.['export-size'], 32 * MIB);
    assert.equal(facts.get(readOnly.name)?.is_read_only, true);
  });

  it('finds no export under a name that nobody attached', async () => {
    const uri = `nbd+unix:///nothing?socket=${writable.socketPath}`;
    const report = await runProgram('nbdinfo', [uri]);
    assert.equal(report.status, 1);
    assert.match(report.stderr, /No such file or directory for export: nothing/);
    assert.notEqual((await runProgram('nbdinfo', ['--can', 'connect', uri])).status, 0);
  });

  it('sees a new volume as one hole, and data and holes right after they are written', async () => {
    const fresh = await server().newExport({ sizeBytes: 16 * MIB });
    const map = (): Promise<string> => runSuccessfully('nbdinfo', ['--map', fresh.uri]);
    const lines = (text: string): string[] =>
      text
        .trimEnd()
        .split('\n')
        .map((line) => line.trim().replaceAll(/ +/g, ' '));
    assert.deepEqual(lines(await map()), [`0 ${16 * MIB} 3 hole,zero`]);

    await runSuccessfully('qemu-io', ['-f', 'raw', '-c', 'write -P 7 4M 2M', fresh.uri]);
    assert.deepEqual(lines(await map()), [
      `0 ${4 * MIB} 3 hole,zero`,
      `${4 * MIB} ${2 * MIB} 0 data`,
      `${6 * MIB} ${10 * MIB} 3 hole,zero`,
    ]);

    await runSuccessfully('qemu-io', ['-f', 'raw', '-c', 'write -z -u 5M 1M', fresh.uri]);
    assert.deepEqual(lines(await map()), [
      `0 ${4 * MIB} 3 hole,zero`,
      `${4 * MIB} ${MIB} 0 data`,
      `${5 * MIB} ${11 * MIB} 3 hole,zero`,
    ]);
    const totals = await runSuccessfully('nbdinfo', ['--map', '--totals', fresh.uri]);
    assert.match(totals, new RegExp(`^\\s*${MIB}\\s+6\\.2%\\s+0\\s+data`, 'm'));
  });
});
