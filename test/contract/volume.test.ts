/** The volume core over a real gRPC connection to a real storage node, under the same contract. */
import { after, before } from 'node:test';
import type { BlockDevice } from '#daemon/block/block-device.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';
import { ReplayLog } from '#daemon/volume/replay-log.js';
import { MemoryReplayStore } from '#daemon/volume/replay-store.js';
import { Volume } from '#daemon/volume/volume.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { startTestNode, type TestNode } from '#test/support/test-node.js';
import { CONTRACT_BYTES, blockDeviceContract } from './block-device-contract.js';

const MIB = 1024 * 1024;

interface Kind {
  readonly checksum: 'none' | 'crc32c';
  readonly writeCache: boolean;
}

function nameOf({ checksum, writeCache }: Kind): string {
  return `v-${checksum}${writeCache ? '-cached' : ''}`;
}

async function openVolume(client: StorageClient, kind: Kind): Promise<BlockDevice> {
  const { checksum, writeCache } = kind;
  const volume = new Volume({
    link: {
      client,
      volumeName: nameOf(kind),
      volumeId: undefined,
      attachmentId: 'contract',
      description: 'contract test',
      readOnly: false,
      takeOver: false,
      expectedGeneration: 0,
      checksum,
      clock: SYSTEM_CLOCK,
      random: Math.random,
    },
    limits: { queueDepth: 1000, bytesMax: 64 * MIB },
    replayLog: new ReplayLog(new MemoryReplayStore(), { bytesMax: 64 * MIB, entriesMax: 10_000 }),
    writeCache,
    readAheadBytes: 64 * 1024,
    ioHoldTimeoutMs: 10_000,
    clock: SYSTEM_CLOCK,
    defer: setImmediate,
    onState: () => undefined,
    onFacts: () => undefined,
  });
  await volume.start();
  return volume;
}

const folder = temporaryFolder();
let node: TestNode;
let client: StorageClient;
before(async () => {
  node = await startTestNode(folder);
  client = node.client();
});
after(async () => {
  client.close();
  await node.stop(5000);
});

for (const kind of [
  { checksum: 'none', writeCache: false },
  { checksum: 'crc32c', writeCache: false },
  { checksum: 'none', writeCache: true },
] as const) {
  const { checksum, writeCache } = kind;
  blockDeviceContract(
    `volume over gRPC, checksum ${checksum}, write cache ${writeCache ? 'on' : 'off'}`,
    {
      open: async () => {
        await client.createVolume({
          name: nameOf(kind),
          sizeBytes: CONTRACT_BYTES,
          blockBytes: 512,
          backend: '',
        });
        return openVolume(client, kind);
      },
      reopen: () => openVolume(client, kind),
    },
  );
}
