/**
 * Stands in for the command `blkferry` and the daemon behind it, for the hotplug script: attachments are in
 * a JSON file, and devices are character devices that every machine has. Output and exit codes are made by
 * the product's own code, since the script depends on their form.
 *
 * usage: BENCH_WORLD=FILE node fake-blkferry.js (show | attach | detach) NAME ...
 */
import fs from 'node:fs';
import { CommandError } from '#daemon/cli/exit-codes.js';
import { errorToJson, toJson } from '#daemon/cli/json-output.js';
import type { FakeWorld } from './hotplug-bench.js';

const worldFile = process.env['BENCH_WORLD'] ?? '';
const [command = '', name = '', ...options] = process.argv.slice(2);

function change<Value>(work: (world: FakeWorld) => Value): Value {
  const world = JSON.parse(fs.readFileSync(worldFile, 'utf8')) as FakeWorld;
  try {
    return work(world);
  } finally {
    fs.writeFileSync(`${worldFile}.new`, JSON.stringify(world));
    fs.renameSync(`${worldFile}.new`, worldFile);
  }
}

function optionValue(option: string): string {
  return options.includes(option) ? (options[options.indexOf(option) + 1] ?? '') : '';
}

/** Those up to the next option. */
function optionValues(option: string): string[] {
  const values = options.slice(options.indexOf(option) + 1);
  const end = values.findIndex((value) => value.startsWith('--'));
  return values.slice(0, end === -1 ? values.length : end);
}

function show(world: FakeWorld): unknown {
  const attachment = world.attachments[name];
  if (attachment === undefined)
    throw new CommandError('not-found', `nothing is attached as ${name}`);
  if (attachment.looksUntilActive > 0) attachment.looksUntilActive -= 1;
  return describe(world);
}

function attach(world: FakeWorld): unknown {
  const readOnly = options.includes('--read-only');
  const node = optionValue('--node');
  const there = world.attachments[name];
  if (there !== undefined) {
    if (there.readOnly !== readOnly || there.node !== node)
      throw new CommandError('refused', `the export ${name} is attached with other settings`);
    return { attachment: describe(world), existed: true, deviceProblem: '' };
  }
  if (world.isNodeAway)
    throw new CommandError('unreachable', 'node 127.0.0.1:7600 does not answer');
  const device = world.volumes[name];
  if (device === undefined) throw new CommandError('not-found', `there is no volume "${name}"`);
  world.attachmentCount += 1;
  world.attachments[name] = {
    attachmentId: optionValue('--id'),
    readOnly,
    standby: options.includes('--standby'),
    node,
    state: 'active',
    looksUntilActive: 0,
    device,
  };
  return { attachment: describe(world), existed: false, deviceProblem: '' };
}

function detach(world: FakeWorld): unknown {
  if (world.isNodeAway)
    throw new CommandError('unreachable', 'the node is away: nothing was flushed');
  if (world.isHeld && optionValue('--wait') === '')
    throw new CommandError('refused', `${name} is in use`);
  const there = world.attachments[name];
  const absent = there === undefined || !optionValues('--attachment').includes(there.attachmentId);
  if (absent) return { absent, discardedBytes: 0 };
  world.attachments = Object.fromEntries(
    Object.entries(world.attachments).filter(([other]) => other !== name),
  );
  return { absent, discardedBytes: 0 };
}

function describe(world: FakeWorld): unknown {
  const attachment = world.attachments[name];
  if (attachment === undefined) throw new Error('described only after a look');
  const { attachmentId, readOnly, node, device } = attachment;
  const isActive = attachment.looksUntilActive === 0;
  return {
    exportName: name,
    volume: name,
    node,
    attachmentId,
    readOnly,
    standby: options.includes('--standby'),
    state: isActive ? attachment.state : 'connecting',
    detail: isActive ? 'says "why"' : '',
    uris: [`nbd+unix:///${name}?socket=/run/blkferry/nbd.sock`],
    counters: { readRequests: 0, failedRequests: 0 },
    device: device === undefined ? undefined : { ...device, link: `/dev/blkferry/${name}` },
  };
}

function run(world: FakeWorld): unknown {
  world.calls.push([command, name, ...options].join(' '));
  if (world.isDaemonAway)
    throw new CommandError('unreachable', 'blkferryd does not answer; is it running?');
  if (command === 'show') return show(world);
  if (command === 'attach') return attach(world);
  if (command === 'detach') return detach(world);
  throw new CommandError('usage', `unknown command '${command}'`);
}

try {
  const world = JSON.parse(fs.readFileSync(worldFile, 'utf8')) as FakeWorld;
  if (world.hangingCommand === command) {
    // As long as a test runs; the script is expected to end it.
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  }
  process.stdout.write(toJson(change(run)));
} catch (error) {
  if (!(error instanceof CommandError)) throw error;
  process.stderr.write(errorToJson(error));
  process.exitCode = error.exitCode;
}
