/**
 * Volumes and clients that come and go. A volume: made, attached, loaded, grown under its load, read back,
 * detached, deleted. Clients: some that read and say goodbye, some that are cut off, some that never get
 * beyond the greeting, and other people's.
 */
import net from 'node:net';
import { submitAsync } from '#daemon/block/block-device.js';
import { flushRequest, joined, readRequest } from '#daemon/block/block-request.js';
import type { SeededChance } from '#daemon/cli/selftest/seeded-chance.js';
import { findProgram, runProgram } from '#test/support/program.js';
import type { FaultDaemon } from '../faults/fault-stack.js';
import type { LatencyMeter } from './latency-meter.js';
import type { SoakJournal } from './soak-journal.js';
import type { SoakNode } from './soak-stack.js';
import { VolumeLoad } from './volume-load.js';

const MIB = 1024 * 1024;
const SIZE_BYTES = 8 * MIB;
const GROWN_BYTES = 12 * MIB;
/** Of the load before the volume grows, and after. */
const LOAD_MS = 1500;
/** The daemon hears of a new size at once; a busy machine takes longer to turn. */
const RESIZE_SEEN_MS = 10_000;
const POLL_MS = 20;

export interface ChurnPeers {
  readonly journal: SoakJournal;
  readonly chance: SeededChance;
  readonly meter: LatencyMeter;
  readonly requestsPerSecond: number;
  /** Waits, or throws when the soak is to end. */
  readonly wait: (ms: number) => Promise<void>;
}

let volumesMade = 0;

/** One volume's life, from its making to its deletion. */
export async function volumeLife(
  peers: ChurnPeers,
  node: SoakNode,
  daemon: FaultDaemon,
): Promise<void> {
  const { journal, chance, meter, requestsPerSecond } = peers;
  volumesMade += 1;
  const name = `life-${volumesMade}`;
  const startMs = performance.now();
  const volume = await VolumeLoad.start(node, daemon, {
    ...{ name, sizeBytes: SIZE_BYTES, connections: 2, requestsPerSecond, meter },
    seed: chance.below(2 ** 31),
  });
  try {
    await peers.wait(LOAD_MS);
    await grow(peers, volume, GROWN_BYTES);
    volume.load.cut(chance.below(2));
    await peers.wait(LOAD_MS);
    await requireZeroes(daemon, name, SIZE_BYTES, GROWN_BYTES);
  } finally {
    await volume.verify();
  }
  for (const problem of volume.problems()) journal.failed(problem);
  const detachMs = performance.now();
  await volume.remove();
  journal.event('attach, load, verify, detach', performance.now() - startMs, name);
  journal.event('of that, detach and delete', performance.now() - detachMs, name);
}

/** Resizes a volume under load, and waits until its daemon knows. */
export async function grow(
  { journal, wait }: Pick<ChurnPeers, 'journal' | 'wait'>,
  { node, daemon, name }: VolumeLoad,
  sizeBytes: number,
): Promise<void> {
  const startMs = performance.now();
  await node.storage.resizeVolume({ name, sizeBytes, allowShrink: false });
  while ((await daemon.admin.getAttachment(name)).sizeBytes !== sizeBytes) {
    if (performance.now() - startMs > RESIZE_SEEN_MS) {
      throw new Error(`the daemon did not learn that ${name} has ${sizeBytes} bytes`);
    }
    await wait(POLL_MS);
  }
  journal.event('resize', performance.now() - startMs, name);
}

/** What a volume gained by growing reads as zeroes, for a client that comes now. */
async function requireZeroes(
  daemon: FaultDaemon,
  name: string,
  fromBytes: number,
  toBytes: number,
): Promise<void> {
  const client = await daemon.connect(name);
  try {
    if (client.facts.sizeBytes !== toBytes) {
      throw new Error(
        `${name} has ${client.facts.sizeBytes} bytes for new clients, not ${toBytes}`,
      );
    }
    for (let atBytes = fromBytes; atBytes < toBytes; atBytes += MIB) {
      const { payload } = await submitAsync(client, readRequest(atBytes, MIB));
      if (joined(payload).some((byte) => byte !== 0))
        throw new Error(`${name} grew by bytes other than 0`);
    }
  } finally {
    await client.close();
  }
}

/** One client of another kind each time; none of them may leave anything behind. */
export async function clientVisit(
  { journal, chance }: Pick<ChurnPeers, 'journal' | 'chance'>,
  daemon: FaultDaemon,
  exportName: string,
): Promise<void> {
  const visits: readonly [Visit, ...Visit[]] = [reader, cutOff, silent, garbage, operator, nbdinfo];
  const visit = chance.pick(visits);
  const startMs = performance.now();
  await visit(daemon, exportName);
  journal.event(`client: ${visit.name}`, performance.now() - startMs);
}

type Visit = (daemon: FaultDaemon, exportName: string) => Promise<void>;

async function reader(daemon: FaultDaemon, exportName: string): Promise<void> {
  const client = await daemon.connect(exportName);
  await submitAsync(client, readRequest(0, MIB));
  await submitAsync(client, flushRequest());
  await client.close();
}

/** Goes away with requests under way. */
async function cutOff(daemon: FaultDaemon, exportName: string): Promise<void> {
  const client = await daemon.connect(exportName);
  const waiting = Array.from({ length: 8 }, () => submitAsync(client, readRequest(0, MIB)));
  const settled = Promise.allSettled(waiting);
  client.cut();
  await settled;
}

function silent(daemon: FaultDaemon): Promise<void> {
  return sendBytes(daemon, Buffer.alloc(0));
}

function garbage(daemon: FaultDaemon): Promise<void> {
  return sendBytes(daemon, Buffer.from('GET / HTTP/1.1\r\n\r\n'));
}

/** Connects, hears the greeting, perhaps says something, goes away. */
function sendBytes(daemon: FaultDaemon, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(daemon.nbdSocket);
    socket.once('error', reject);
    socket.once('data', () => socket.end(bytes));
    socket.once('close', () => {
      resolve();
    });
  });
}

async function operator(daemon: FaultDaemon): Promise<void> {
  await daemon.admin.getDaemon();
  await daemon.admin.listAttachments();
}

/** libnbd's own program, if it is there. */
async function nbdinfo(daemon: FaultDaemon, exportName: string): Promise<void> {
  if (findProgram('nbdinfo') === undefined) return;
  const uri = `nbd+unix:///${exportName}?socket=${daemon.nbdSocket}`;
  const { status, stderr } = await runProgram('nbdinfo', ['--size', uri]);
  if (status !== 0) throw new Error(`nbdinfo ${uri} ended with status ${status ?? ''}: ${stderr}`);
}
