#!/usr/bin/env node
/**
 * Runs the system tests where they belong: on this machine those that start machines of the lab themselves,
 * all of test/system/kernel in one boot of `scripts/lab vm`, all of test/system/xen* in one of `scripts/lab xen`.
 * Xen, which takes longest, at the same time as the others: an emulated processor takes one real one.
 * Adds the counts up; the last line is that of run-tests.mjs, which does the work in each place.
 *
 * Where the lab cannot be had, what would run there counts as one skip with the reason.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bundlePrograms } from '../dev/bundle.mjs';
import { readAllowedSkips } from '../dev/run-tests.d/allowed-skips.mjs';
import { findTestFiles } from '../dev/run-tests.d/test-files.mjs';

const USAGE = `usage: scripts/lab.d/system-tests.mjs [--allowed-skips FILE] [host|vm|xen]...

  --allowed-skips FILE  a skip that FILE does not allow is a failure

Without words: all three places.
`;

const rootDirectory = fileURLToPath(new URL('../..', import.meta.url));
const lab = join(rootDirectory, 'scripts/lab');

/** All files of a place in one boot, some ten times slower than on an ordinary machine. */
const PLACE_LIMIT_SECONDS = 2700;

/** The driver as it is loaded after an installation (kmod/modprobe.d), and what makes networks and disks bad. */
const LOAD_MODULES =
  'modprobe nbd nbds_max=0 max_part=0; modprobe -a veth sch_netem loop dm-mod dm-flakey';

const PLACES = {
  host: { has: (file) => !PLACES.vm.has(file) && !PLACES.xen.has(file) },
  vm: { has: (file) => file.startsWith('test/system/kernel/'), only: 'test/system/kernel/' },
  xen: { has: (file) => file.startsWith('test/system/xen'), only: 'test/system/xen' },
};

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { 'allowed-skips': { type: 'string' }, help: { type: 'boolean' } },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const names = positionals.length > 0 ? positionals : Object.keys(PLACES);
  const unknown = names.find((name) => !(name in PLACES));
  if (unknown !== undefined) throw new UsageError(`there is no place named ${unknown}`);
  const allowed = values['allowed-skips'];
  await bundlePrograms();
  const folder = mkdtempSync(join(tmpdir(), 'blkferry-system-'));
  try {
    const aside = names.includes('xen') && names.length > 1 ? ['xen'] : [];
    const asideText = [];
    const [shown, kept] = await Promise.all([
      runPlaces(
        names.filter((name) => !aside.includes(name)),
        folder,
        allowed,
        process.stdout,
      ),
      runPlaces(aside, folder, allowed, collector(asideText)),
    ]);
    if (aside.length > 0) process.stdout.write(Buffer.concat(asideText));
    return printSum([...shown, ...kept]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

class UsageError extends Error {}

/** @param chunks {Buffer[]} what is written to it */
function collector(chunks) {
  return new Writable({
    write(chunk, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
}

/** One after the other. @returns [{passed, failures, skips}] */
async function runPlaces(names, folder, allowed, output) {
  const reports = [];
  for (const name of names) reports.push(...(await runPlace(name, folder, allowed, output)));
  return reports;
}

async function runPlace(name, folder, allowed, output) {
  const files = findTestFiles(rootDirectory, ['system'], undefined)
    .map((file) => file.source)
    .filter((file) => PLACES[name].has(file));
  if (files.length === 0) return [];
  const share = join(folder, name);
  mkdirSync(share);
  if (name === 'host') {
    const reports = [];
    for (const file of files) {
      reports.push(await runTests([], testWords(file, share, allowed), share, file, output));
    }
    return reports;
  }
  output.write(`\nin a machine of scripts/lab ${name}:\n`);
  const fetched = spawnSync(lab, ['fetch', '--if-missing', name], { encoding: 'utf8' });
  if (fetched.status !== 0) {
    const reason = `the lab cannot be had here: ${fetched.stderr.trim().split('\n').at(-1)}`;
    output.write(`  skipped: ${reason}\n`);
    return [skipReport({ file: files[0], reason }, allowed)];
  }
  const { only } = PLACES[name];
  const words = [
    ...[lab, name, '--timeout', String(PLACE_LIMIT_SECONDS), '--share', share],
    ...['--udev', join(rootDirectory, 'kmod/udev'), 'sh', '-c', `${LOAD_MODULES}; exec "$0" "$@"`],
  ];
  return [await runTests(words, testWords(only, share, allowed), share, only, output)];
}

function testWords(only, folder, allowed) {
  return [
    ...[process.execPath, join(rootDirectory, 'scripts/dev/run-tests.mjs'), 'system'],
    ...['--only', only, '--report', reportFile(folder)],
    ...(allowed === undefined ? [] : ['--allowed-skips', allowed]),
  ];
}

function reportFile(folder) {
  return join(folder, 'report.json');
}

/** A run without a report is a failure of the place: a machine that crashed, or a time limit. */
async function runTests(before, words, folder, what, output) {
  const [program, ...others] = [...before, ...words];
  const child = spawn(program, others, { cwd: rootDirectory, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await Promise.all([copy(child.stdout, output), copy(child.stderr, output)]);
  const status = await ended;
  try {
    const report = JSON.parse(readFileSync(reportFile(folder), 'utf8'));
    rmSync(reportFile(folder));
    return report;
  } catch {
    const text = `ended with status ${status} before its tests did`;
    return { passed: 0, failures: [{ file: what, test: text }], skips: [] };
  }
}

/** @returns when the source has ended; the output stays open for others */
async function copy(source, output) {
  for await (const chunk of source) {
    if (!output.write(chunk)) await once(output, 'drain');
  }
}

function skipReport(skip, allowed) {
  const isAllowed =
    allowed === undefined || readAllowedSkips(allowed).some((one) => one.matches(skip));
  return isAllowed
    ? { passed: 0, failures: [], skips: [skip] }
    : { passed: 0, failures: [{ file: skip.file, test: skip.reason }], skips: [] };
}

function printSum(reports) {
  const failures = reports.flatMap((report) => report.failures);
  const count = (amount) => reports.reduce((sum, report) => sum + amount(report), 0);
  console.log('');
  for (const failure of failures) console.log(`failed: ${failure.file}: ${failure.test}`);
  const skipped = count((report) => report.skips.length);
  console.log(
    `${count((report) => report.passed)} passed, ${failures.length} failed, ${skipped} skipped`,
  );
  return failures.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof UsageError || error.code?.startsWith('ERR_PARSE_ARGS');
  console.error(`system-tests: ${error.message}`);
  if (isUsage) console.error(USAGE);
  process.exitCode = isUsage ? 2 : 1;
}
