/**
 * `scripts/bench`: starts every target, proves that each keeps data, then measures load after load. Within a
 * load the targets take turns, in another random order each round, so that what else the machine does
 * hits all of them; what counts are the ratios within a round.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stopOnSignals } from '../command.mjs';
import { chooseSizeBytes, describeFolder } from '../data-folder.mjs';
import { describeMachine, loadAverage } from '../machine.mjs';
import { measureCpu, residentBytes } from '../program.mjs';
import { readOptions } from '../options.mjs';
import { drawPlot } from '../plot.mjs';
import { Progress } from '../progress.mjs';
import { shuffled } from '../random-order.mjs';
import { SPARSE_PART, writeRandomFile, writeSparseFile } from '../random-file.mjs';
import { summarize } from '../statistics.mjs';
import { formatReport } from '../table.mjs';
import { startTarget, takes } from '../targets.mjs';
import { verifyTarget } from '../verification.mjs';

export async function compare(words) {
  const options = readOptions(words);
  const folder = mkdtempSync(path.join(options.folder, 'blkferry-bench-'));
  const progress = new Progress();
  const targets = [];
  const cleanUp = async () => {
    progress.clear();
    await Promise.all(targets.map((target) => target.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  stopOnSignals(cleanUp);
  try {
    const sizeBytes = chooseSizeBytes(options.folder, options.sizeBytes, options.targets.length);
    const machine = { ...describeMachine(), data: describeFolder(options.folder), sizeBytes };
    const described = new Map();
    const samples = [];
    for (const isSparse of [false, true]) {
      const loads = options.loads.filter((load) => (load.isSparse ?? false) === isSparse);
      const names = options.targets.filter((name) => loads.some((load) => takes(name, load)));
      if (loads.length === 0) continue;
      const data = await writeSource(path.join(folder, 'source'), sizeBytes, isSparse, progress);
      for (const name of names) {
        progress.show(`starting and verifying ${name}`);
        const target = await startTarget(name, path.join(folder, name), data.sizeBytes);
        targets.push(target);
        described.set(name, target);
        await verifyTarget(target, data.source, folder);
      }
      samples.push(...(await measure(options, loads, targets, data, progress)));
      // One at a time is stopped, so that none is left when one cannot be.
      for (const target of targets.splice(0)) await target.stop();
      for (const name of names) rmSync(path.join(folder, name), { recursive: true, force: true });
    }
    progress.clear();
    const inOrder = options.targets.filter((name) => described.has(name));
    report(
      options,
      machine,
      inOrder.map((name) => described.get(name)),
      samples,
    );
  } finally {
    await cleanUp();
  }
}

/**
 * Before a load is measured every target has it once: what counts is how a chain does that runs, not how it
 * begins. Ours compiles its code in that time, and all fill their buffers.
 */
const WARM_UP_SECONDS = 1;

/** @returns what is copied, and its size */
async function writeSource(source, dataBytes, isSparse, progress) {
  const sizeBytes = isSparse ? (dataBytes / 2) * SPARSE_PART : dataBytes;
  progress.show(`writing ${sizeBytes / 2 ** 20} MiB of ${isSparse ? 'holes and ' : ''}random data`);
  if (isSparse) await writeSparseFile(source, sizeBytes);
  else await writeRandomFile(source, sizeBytes);
  return { source, sizeBytes };
}

/** @returns one sample per load, round and target */
async function measure(options, loads, allTargets, data, progress) {
  const samples = [];
  const steps = loads.length * options.rounds * allTargets.length;
  for (const load of loads) {
    const targets = allTargets.filter((target) => target.takes(load));
    for (const target of shuffled(targets)) {
      progress.step(samples.length, steps, `${load.title}, warming up, ${target.title}`);
      await load.run(target, { ...data, seconds: WARM_UP_SECONDS });
    }
    for (let round = 0; round < options.rounds; round += 1) {
      for (const target of shuffled(targets)) {
        progress.step(samples.length, steps, `${load.title}, round ${round + 1}, ${target.title}`);
        const cpu = measureCpu(target.pids());
        const machineLoad = loadAverage();
        const result = await load.run(target, { ...data, seconds: options.seconds });
        samples.push({
          ...{ load: load.name, round, target: target.name, machineLoad, ...result },
          cpuMicroseconds: cpu.microseconds().map((sum) => sum / result.requests),
          memoryBytes: residentBytes(target.pids()),
        });
      }
    }
  }
  return samples;
}

function report(options, machine, targets, samples) {
  const results = {
    machine,
    rounds: options.rounds,
    seconds: options.seconds,
    targets: targets.map(({ name, title, description }) => ({ name, title, description })),
    loads: options.loads.map(({ name, title, unit }) => ({
      ...{ name, title, unit },
      results: summarize(samples.filter((sample) => sample.load === name)),
    })),
    samples,
  };
  mkdirSync(options.out, { recursive: true });
  const table = formatReport(results);
  const json = `${JSON.stringify(results, null, 2)}\n`;
  writeFileSync(path.join(options.out, 'results.json'), json);
  if (options.json !== undefined) writeFileSync(options.json, json);
  writeFileSync(path.join(options.out, 'table.txt'), table);
  process.stdout.write(table);
  const plots = drawPlot(results, options.out);
  process.stdout.write(`\nWritten to ${options.out}: results.json table.txt ${plots.join(' ')}\n`);
}
