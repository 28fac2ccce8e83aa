/**
 * What a request costs on its whole way, from an NBD client's socket through session, volume, gRPC and node to the file
 * and back, all in this process: counted, not timed, and held against `test/golden/request-cost.json`. More is a step
 * back; less is progress, and the file is made anew with it: BLKFERRY_RENEW=1.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { submitAsync } from '#daemon/block/block-device.js';
import { writeRequest } from '#daemon/block/block-request.js';
import { NbdSession } from '#daemon/frontend/nbd-session.js';
import { adopted } from '#daemon/runtime/adopted-socket.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';
import { ReplayFile } from '#daemon/volume/replay-file.js';
import { ReplayLog } from '#daemon/volume/replay-log.js';
import { Volume } from '#daemon/volume/volume.js';
import { costOf, type Cost } from '#test/support/cost-probe.js';
import { READ, bytes, request, write } from '#test/support/nbd-bytes.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { startTestNode, type TestNode } from '#test/support/test-node.js';

const GOLDEN = fileURLToPath(new URL('../../golden/request-cost.json', import.meta.url));
const MIB = 1024 * 1024;
const VOLUME_BYTES = 64 * MIB;
const REPLY_HEADER_BYTES = 16;
const TURNS = 100;
/** Before anything is counted: slabs have found their length, and there are enough of them. */
const WARM_UP_TURNS = 500;
/** What nothing of ours decides: when the kernel hands a socket's bytes over in two pieces. */
const TOLERANCE = 0.03;
/** And with that, whether one more of these is needed. */
const SLAB_BYTES_MAX = 256 * 1024;

interface Scenario {
  readonly kind: 'read' | 'write';
  readonly bytes: number;
  readonly depth: number;
  readonly writeCache?: boolean;
  /** Nothing was ever written where it reads. */
  readonly isHole?: boolean;
  /** Large requests come in as many pieces as the kernel likes: only this is the same each time. */
  readonly counted: readonly (keyof Cost)[];
}

const ALL = ['promises', 'ticks', 'timers', 'bufferBytes'] as const;

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'read of 4 KiB, one': { kind: 'read', bytes: 4096, depth: 1, counted: ALL },
  'read of 4 KiB, 16 together': { kind: 'read', bytes: 4096, depth: 16, counted: ALL },
  'write of 4 KiB, one': { kind: 'write', bytes: 4096, depth: 1, counted: ALL },
  'write of 4 KiB, 8 together': { kind: 'write', bytes: 4096, depth: 8, counted: ALL },
  'write of 4 KiB, one, write cache': {
    // How many go to the node together, and with that all else, is a matter of time.
    ...{ kind: 'write', bytes: 4096, depth: 1, writeCache: true, counted: ['promises'] },
  },
  'read of 1 MiB, one': { kind: 'read', bytes: MIB, depth: 1, counted: ['bufferBytes'] },
  'read of 1 MiB of a hole, one': {
    ...{ kind: 'read', bytes: MIB, depth: 1, isHole: true, counted: ['bufferBytes'] },
  },
  'write of 1 MiB, one': { kind: 'write', bytes: MIB, depth: 1, counted: ['bufferBytes'] },
};

describe('what a request costs', () => {
  const folder = temporaryFolder();
  let node: TestNode;
  let client: StorageClient;
  const golden = readGolden();
  const measured: Record<string, Partial<Cost>> = {};

  before(async () => {
    node = await startTestNode(folder);
    client = node.client();
  });
  after(async () => {
    client.close();
    await node.stop(5000);
    if (process.env['BLKFERRY_RENEW'] === '1')
      writeFileSync(GOLDEN, `${JSON.stringify(measured, null, 2)}\n`);
  });

  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    it(`${name} at a time`, async () => {
      const { volume, disk } = await openDisk(
        client,
        name.replaceAll(/[^a-z0-9]+/gi, '-'),
        scenario,
      );
      await disk.run(WARM_UP_TURNS);
      const cost = await costOf(() => disk.run(TURNS));
      await disk.close();
      await volume.close();
      const each = perRequest(cost, scenario);
      measured[name] = each;
      if (process.env['BLKFERRY_RENEW'] === '1') return;
      for (const key of scenario.counted) {
        const [was = NaN, is = NaN] = [golden[name]?.[key], each[key]];
        const slabs = key === 'bufferBytes' ? SLAB_BYTES_MAX / TURNS / scenario.depth : 0;
        const slack = Math.max(0.1, was * TOLERANCE, slabs);
        assert.ok(is <= was + slack, `${key}: ${is} for each request, it was ${was}`);
        assert.ok(is >= was - slack, `${key}: only ${is} for each request, it was ${was}: renew`);
      }
    });
  }
});

function readGolden(): Record<string, Partial<Cost>> {
  return JSON.parse(readFileSync(GOLDEN, 'utf8')) as Record<string, Partial<Cost>>;
}

function perRequest(cost: Cost, { counted, depth }: Scenario): Partial<Cost> {
  return Object.fromEntries(
    counted.map((key) => [key, Math.round((cost[key] / TURNS / depth) * 100) / 100]),
  );
}

/** A client that sends so many requests at a time and waits for all their answers. */
class Disk {
  #missingBytes = 0;
  #done: () => void = () => undefined;

  constructor(
    readonly socket: net.Socket,
    readonly requests: Buffer,
    readonly answerBytes: number,
    readonly server: net.Server,
  ) {
    socket.on('data', (chunk) => {
      this.#missingBytes -= chunk.length;
      if (this.#missingBytes === 0) this.#done();
    });
  }

  async run(turns: number): Promise<void> {
    await new Promise<void>((resolve) => {
      let left = turns;
      const next = (): void => {
        if (left === 0) {
          resolve();
          return;
        }
        left -= 1;
        this.#missingBytes = this.answerBytes;
        this.socket.write(this.requests);
      };
      this.#done = next;
      next();
    });
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

async function openDisk(
  client: StorageClient,
  name: string,
  scenario: Scenario,
): Promise<{ volume: Volume; disk: Disk }> {
  await client.createVolume({ name, sizeBytes: VOLUME_BYTES, blockBytes: 512, backend: '' });
  const folder = path.dirname(client.address.replace('unix:', ''));
  const volume = newVolume(client, name, folder, scenario.writeCache ?? false);
  await volume.start();
  // What was never written costs a read next to nothing.
  if (scenario.isHole !== true)
    await submitAsync(volume, writeRequest(0, Buffer.alloc(4 * MIB, 7)));
  const socketPath = path.join(folder, `${name.length}-${scenario.depth}-${scenario.bytes}.sock`);
  const server = net.createServer({ pauseOnConnect: true }, (accepted) => {
    const socket = adopted(accepted);
    const session = new NbdSession({
      socket,
      device: volume,
      agreed: { replyKind: 'simple', extendedHeaders: false, metaContexts: [] },
      payloadBytesMax: 32 * MIB,
      hasOtherConnections: () => false,
      onDropped: () => undefined,
      onRefused: (_request, error) => {
        throw error;
      },
    });
    socket.on('data', (chunk) => {
      session.receive(chunk);
    });
    socket.on('close', () => {
      session.abandon();
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const socket = net.connect(socketPath);
  await new Promise((resolve) => socket.once('connect', resolve));
  return { volume, disk: new Disk(socket, ...wireOf(scenario), server) };
}

/** @returns the requests of one turn, and the bytes of their answers */
function wireOf({ kind, bytes: length, depth }: Scenario): [Buffer, number] {
  const all = Array.from({ length: depth }, (_, index) => {
    const offset = BigInt(index * 3 * length);
    return kind === 'read'
      ? request({ ...READ, length, offset })
      : request(write(Buffer.alloc(length, 7), BigInt(index), offset));
  });
  const dataBytes = kind === 'read' ? length : 0;
  return [bytes(...all), depth * (REPLY_HEADER_BYTES + dataBytes)];
}

function newVolume(
  client: StorageClient,
  volumeName: string,
  folder: string,
  writeCache: boolean,
): Volume {
  const owner = { volumeId: volumeName, attachmentId: 'cost', bootId: 'this' };
  const { store } = ReplayFile.open(path.join(folder, 'replay', volumeName), owner);
  return new Volume({
    link: {
      ...{ client, volumeName, volumeId: undefined, attachmentId: 'cost', description: 'test' },
      ...{ readOnly: false, takeOver: false, expectedGeneration: 0, checksum: 'none' as const },
      ...{ clock: SYSTEM_CLOCK, random: Math.random },
    },
    limits: { queueDepth: 256, bytesMax: 64 * MIB },
    replayLog: new ReplayLog(store, { bytesMax: 2048 * MIB, entriesMax: 100_000 }),
    writeCache,
    readAheadBytes: 128 * 1024,
    ioHoldTimeoutMs: 10_000,
    clock: SYSTEM_CLOCK,
    defer: setImmediate,
    onState: () => undefined,
    onFacts: () => undefined,
  });
}
