/**
 * `scripts/bench scale`: how speed and latency change from 1 to 64 clients of one volume, beside nbdkit → nbdkit; and
 * what a volume that is attached and a client that is connected cost when they do nothing.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { createAdminClient } from '#daemon/cli/admin-client.js';
import { connectNbd } from '#daemon/cli/selftest/nbd-connection.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { createNodeClient } from '#daemon/transport/node-client.js';
import { Blkferry } from '../blkferry.mjs';
import { positive, readCommandOptions, withFolder } from '../command.mjs';
import { runFio } from '../fio.mjs';
import { describeMachine } from '../machine.mjs';
import { measureCpu, residentBytes } from '../program.mjs';
import { Progress } from '../progress.mjs';
import { median } from '../statistics.mjs';
import { startTarget, TARGETS } from '../targets.mjs';

const USAGE = `usage: scripts/bench scale [--rounds N] [--seconds S] [--dir FOLDER] [--out DIR] [--json FILE]

  --rounds N    times that each number of clients is measured (default 3)
  --seconds S   length of one measurement (default 2)
  --dir FOLDER  where the data is kept meanwhile (default /dev/shm)
  --out DIR     where scale.png goes (default tmp/bench)
`;

const MIB = 2 ** 20;
const CLIENTS = [1, 2, 4, 8, 16, 32, 64];
const COMPARED = ['blkferry', 'nbdkit2'];
const SIZE_BYTES = 256 * MIB;
const VOLUMES = [0, 50, 100, 200];
const ACTIVE_VOLUMES = 20;
const ACTIVE_DEPTH = 4;
const CONNECTIONS = 200;
const VOLUME_BYTES = 64 * MIB;
const CALL_TIMEOUT_MS = 20_000;
/** Long enough for several probes of each session, and for the collection of what attaching left. */
const IDLE_MS = 10_000;

export async function measureScale(words) {
  const options = readCommandOptions(words, USAGE, {
    ...{ rounds: { type: 'string' }, seconds: { type: 'string' }, out: { type: 'string' } },
  });
  const rounds = positive('--rounds', options.rounds, 3);
  const seconds = Math.ceil(positive('--seconds', options.seconds, 2));
  const progress = new Progress();
  await withFolder(options, async (folder) => {
    const machine = describeMachine();
    const clients = await measureClients(path.join(folder, 'clients'), rounds, seconds, progress);
    const volumes = await measureVolumes(path.join(folder, 'volumes'), seconds, progress);
    progress.clear();
    const results = { machine, rounds, seconds, clients, ...volumes };
    options.report(format(results), results);
    draw(clients, path.resolve(options.out ?? 'tmp/bench'));
  });
}

/** Random reads of 4 KiB; each client has a connection of its own and one request at a time. */
async function measureClients(folder, rounds, seconds, progress) {
  const targets = [];
  try {
    for (const name of COMPARED)
      targets.push(await startTarget(name, path.join(folder, name), SIZE_BYTES));
    const rows = [];
    const steps = CLIENTS.length * (rounds + 1) * targets.length;
    let done = 0;
    for (const clients of CLIENTS) {
      const samples = targets.map(() => []);
      for (let round = 0; round <= rounds; round += 1) {
        for (const [index, { uri, title }] of targets.entries()) {
          progress.step(done, steps, `${clients} clients, round ${round}, ${title}`);
          done += 1;
          const job = {
            name: 'scale',
            uri,
            pattern: 'randread',
            blockBytes: 4096,
            depth: 1,
            clients,
          };
          const [result] = await runFio([job], { sizeBytes: SIZE_BYTES, seconds });
          // The first warms up.
          if (round > 0) samples[index].push(result);
        }
      }
      rows.push({
        clients,
        ...Object.fromEntries(COMPARED.map((name, index) => [name, summary(samples[index])])),
      });
    }
    return rows;
  } finally {
    for (const target of targets) await target.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function summary(samples) {
  return {
    operationsPerSecond: median(samples.map((one) => one.operationsPerSecond)),
    p50: median(samples.map(({ latency }) => latency.p50)),
    p99: median(samples.map(({ latency }) => latency.p99)),
  };
}

async function measureVolumes(folder, seconds, progress) {
  const ours = await Blkferry.start(folder);
  const admin = createAdminClient({
    address: `unix:${ours.adminSocket}`,
    timeoutMs: CALL_TIMEOUT_MS,
  });
  const storage = createNodeClient({
    ...{ address: ours.nodeAddress, callTimeoutMs: CALL_TIMEOUT_MS, insecure: false },
    sessionTimes: { openTimeoutMs: 5000, probeIntervalMs: 1000, probeTimeoutMs: 5000 },
    clock: SYSTEM_CLOCK,
  });
  try {
    const uris = [];
    const attached = [];
    for (const count of VOLUMES) {
      progress.show(`${count} volumes attached`);
      while (uris.length < count) uris.push(await newVolume(`v${uris.length}`, admin, storage));
      attached.push({ volumes: count, ...(await idleCost(ours)) });
    }
    progress.show(`${ACTIVE_VOLUMES} volumes active`);
    const jobs = uris.slice(0, ACTIVE_VOLUMES).map((uri, index) => ({
      ...{ name: `v${index}`, uri, pattern: 'randread', blockBytes: 4096, depth: ACTIVE_DEPTH },
    }));
    await runFio(jobs, { sizeBytes: VOLUME_BYTES, seconds: 1 });
    const active = await runFio(jobs, { sizeBytes: VOLUME_BYTES, seconds });
    progress.show(`${CONNECTIONS} clients connected`);
    const before = await idleCost(ours);
    const socket = { path: path.join(folder, 'nbd.sock') };
    const connections = [];
    for (let index = 0; index < CONNECTIONS; index += 1)
      connections.push(await connectNbd({ socket, exportName: 'v0' }));
    const after = await idleCost(ours);
    for (const connection of connections) await connection.close();
    const rates = active.map((one) => one.operationsPerSecond);
    return {
      attached,
      active: {
        operationsPerSecond: rates.reduce((sum, rate) => sum + rate, 0),
        slowest: Math.min(...rates),
        fastest: Math.max(...rates),
        p99: median(active.map(({ latency }) => latency.p99)),
      },
      connectionBytes: (after.daemonBytes - before.daemonBytes) / CONNECTIONS,
    };
  } finally {
    admin.close();
    storage.close();
    await ours.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function newVolume(name, admin, storage) {
  await storage.createVolume({ name, sizeBytes: VOLUME_BYTES, blockBytes: 0, backend: '' });
  const { attachment } = await admin.attach({
    ...{ volume: name, node: '', exportName: '', readOnly: false, takeOver: false },
    ...{ device: 'none', deviceConnections: 0, deviceBlockBytes: 0, attachmentId: '' },
    standby: false,
  });
  return attachment.uris[0];
}

/** Memory, and processor time in microseconds a second, while nothing is asked. */
async function idleCost({ pids: { daemon, node } }) {
  await wait(IDLE_MS / 2);
  const cpu = measureCpu([daemon, node]);
  await wait(IDLE_MS / 2);
  const [daemonMicroseconds, nodeMicroseconds] = cpu
    .microseconds()
    .map((sum) => (sum * 1000) / (IDLE_MS / 2));
  return {
    ...{ daemonBytes: residentBytes([daemon]), nodeBytes: residentBytes([node]) },
    ...{ daemonMicroseconds, nodeMicroseconds },
  };
}

function format({ machine, clients, attached, active, connectionBytes, rounds, seconds }) {
  const last = attached.at(-1);
  const perVolume = (key) => (last[key] - attached[0][key]) / last.volumes;
  const kib = (bytes) => `${(bytes / 1024).toFixed(0)} KiB`;
  const mib = (bytes) => (bytes / MIB).toFixed(0).padStart(6);
  return [
    `${machine.cpu}, ${machine.cores} cores; ${rounds} rounds of ${seconds} s`,
    '',
    'Clients of one volume, each reading 4 KiB at random, one at a time:',
    'requests a second, p50 and p99 in microseconds',
    '',
    `clients ${COMPARED.map((name) => TARGETS[name].title.padStart(24)).join('')}    ratio`,
    ...clients.map((row) => {
      const cells = COMPARED.map((name) => {
        const { operationsPerSecond, p50, p99 } = row[name];
        return `${operationsPerSecond.toFixed(0)} ${`${p50.toFixed(0)}/${p99.toFixed(0)}`.padStart(11)}`.padStart(
          24,
        );
      });
      const ratio = row.blkferry.operationsPerSecond / row.nbdkit2.operationsPerSecond;
      return `${String(row.clients).padEnd(8)}${cells.join('')}${ratio.toFixed(2).padStart(9)}`;
    }),
    '',
    'Volumes attached and idle: MiB of memory, and CPU microseconds a second',
    '',
    'volumes   daemon    node    daemon CPU    node CPU',
    ...attached.map(
      (one) =>
        `${String(one.volumes).padEnd(9)} ${mib(one.daemonBytes)}  ${mib(one.nodeBytes)}` +
        `${one.daemonMicroseconds.toFixed(0).padStart(14)}${one.nodeMicroseconds.toFixed(0).padStart(12)}`,
    ),
    '',
    `A volume costs ${kib(perVolume('daemonBytes'))} of the daemon's memory and ${kib(perVolume('nodeBytes'))} of the node's;`,
    `a client that is connected ${kib(connectionBytes)} of the daemon's.`,
    `${ACTIVE_VOLUMES} of ${last.volumes} volumes active at depth ${ACTIVE_DEPTH}: ${active.operationsPerSecond.toFixed(0)} requests a second, p99 ${active.p99.toFixed(0)} us;`,
    `the slowest of them had ${active.slowest.toFixed(0)}, the fastest ${active.fastest.toFixed(0)}.`,
    '',
  ].join('\n');
}

/** Throughput and p99 over the number of clients, both axes logarithmic; without gnuplot nothing. */
function draw(clients, out) {
  mkdirSync(out, { recursive: true });
  const data = path.join(out, 'scale.data');
  const line = ({ clients: count, ...of }) =>
    [count, ...COMPARED.flatMap((name) => [of[name].operationsPerSecond, of[name].p99])].join(' ');
  writeFileSync(data, clients.map(line).join('\n'));
  const colours = ['#1b6ca8', '#f0a030'];
  const lines = (column) =>
    COMPARED.map(
      (name, index) =>
        `"${data}" using 1:${column + 2 * index} with linespoints linewidth 2 pointtype 7 linecolor rgb "${colours[index]}" title "${TARGETS[name].title}"`,
    ).join(', ');
  const script = [
    'set terminal pngcairo size 1000,420 font ",11"',
    `set output "${path.join(out, 'scale.png')}"`,
    'set multiplot layout 1,2',
    'set logscale x 2',
    'set xrange [1:64]',
    `set xtics (${CLIENTS.join(', ')})`,
    'set xlabel "clients, each with one request at a time"',
    'set grid linecolor rgb "#dddddd"',
    'set key left top',
    'set yrange [0:*]',
    'set title "4 KiB random reads a second"',
    `plot ${lines(2)}`,
    'set title "p99 latency, microseconds"',
    `plot ${lines(3)}`,
    'unset multiplot',
    '',
  ].join('\n');
  const { status } = spawnSync('gnuplot', [], { input: script });
  rmSync(data);
  if (status === 0) process.stdout.write(`\nDrawn: ${path.join(out, 'scale.png')}\n`);
}
