/** A volume in a worker, as clients over TLS reach it from the main thread, to a real node, under the same contract. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before } from 'node:test';
import type { BlockDevice } from '#daemon/block/block-device.js';
import { readDaemonConfig } from '#daemon/config/daemon-config.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';
import { StoragePool } from '#daemon/transport/storage-pool.js';
import type { VolumeThread } from '#daemon/workers/volume-thread.js';
import { pretendWorker } from '#test/support/pretend-worker.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { startTestNode, type TestNode } from '#test/support/test-node.js';
import { CONTRACT_BYTES, blockDeviceContract } from './block-device-contract.js';

const folder = temporaryFolder();
let node: TestNode;
let client: StorageClient;
let thread: VolumeThread;
before(async () => {
  node = await startTestNode(folder);
  client = node.client();
  const runtime = path.join(folder, 'run');
  mkdirSync(runtime);
  const config = readDaemonConfig({
    file: undefined,
    environment: {},
    flags: { state_directory: path.join(folder, 'state'), runtime_directory: runtime },
  });
  const silent = { info: () => undefined, warn: () => undefined };
  thread = pretendWorker(1, config, new StoragePool(() => node.client()), silent);
});
after(async () => {
  client.close();
  await node.stop(5000);
});

let volumeId = '';

async function openVolume(): Promise<BlockDevice> {
  const record = {
    exportName: 'v1',
    volume: 'v1',
    volumeId,
    node: 'the node',
    attachmentId: 'contract',
    readOnly: false,
    attachedUnixMs: 0,
  };
  const { volume } = thread.open(record, { takeOver: false, onClaim: () => undefined });
  await volume.start();
  return volume;
}

blockDeviceContract('a volume in a worker, from the main thread', {
  open: async () => {
    const facts = { name: 'v1', sizeBytes: CONTRACT_BYTES, blockBytes: 512, backend: '' };
    ({ volumeId } = (await client.createVolume(facts)).volume);
    return openVolume();
  },
  reopen: openVolume,
});
