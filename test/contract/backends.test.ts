/** Every backend of a storage node under the contract. */
import fs from 'node:fs';
import path from 'node:path';
import { after } from 'node:test';
import { startWorkers } from '#daemon/bin/worker-start.js';
import { FileBackend } from '#daemon/storage-node/backend/file/file-backend.js';
import { MemoryBackend } from '#daemon/storage-node/backend/memory/memory-backend.js';
import { slowPace } from '#test/support/slow-pace.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { CONTRACT_BYTES, blockDeviceContract } from './block-device-contract.js';

const IDENTITY = { volumeId: 'v', sizeBytes: CONTRACT_BYTES, blockBytes: 512 };
const root = temporaryFolder();

const file = new FileBackend();
blockDeviceContract('file backend', {
  open: async () => {
    await file.create(IDENTITY, root);
    return file.open(IDENTITY, root);
  },
  reopen: () => file.open(IDENTITY, root),
});

// All changes on other threads.
const slow = new FileBackend({ pace: slowPace() });
const slowRoot = temporaryFolder();
blockDeviceContract('file backend on a disk that does not keep up', {
  open: async () => {
    await slow.create(IDENTITY, slowRoot);
    return slow.open(IDENTITY, slowRoot);
  },
  reopen: () => slow.open(IDENTITY, slowRoot),
});

// tmpfs lacks ZERO_RANGE: the other way to keep zeroes allocated.
const inMemory = fs.existsSync('/dev/shm')
  ? fs.mkdtempSync(path.join('/dev/shm', 'blkferry-test-'))
  : undefined;
if (inMemory === undefined) {
  console.log('# skipped: file backend on tmpfs (this machine has no /dev/shm)');
} else {
  process.on('exit', () => {
    fs.rmSync(inMemory, { recursive: true, force: true });
  });
  for (const [what, backend] of [
    ['tmpfs', file],
    ['tmpfs, on other threads', slow],
  ] as const) {
    const folder = path.join(inMemory, what);
    fs.mkdirSync(folder);
    blockDeviceContract(`file backend on ${what}`, {
      open: async () => {
        await backend.create(IDENTITY, folder);
        return backend.open(IDENTITY, folder);
      },
      reopen: () => backend.open(IDENTITY, folder),
    });
  }
}

const memory = new MemoryBackend();
blockDeviceContract('memory backend', {
  open: async () => {
    await memory.create(IDENTITY);
    return memory.open(IDENTITY);
  },
  reopen: () => memory.open(IDENTITY),
});

const pool = startWorkers(
  2,
  { requestsInFlightMax: 1024, bytesInFlightMax: 64 * 1024 * 1024 },
  { info: () => undefined, warn: () => undefined },
);
after(() => pool?.stop());
for (const backend of pool?.backends() ?? []) {
  const folder = temporaryFolder();
  blockDeviceContract(`${backend.name} backend in a worker`, {
    open: async () => {
      await backend.create(IDENTITY, folder);
      return backend.open(IDENTITY, folder);
    },
    reopen: () => backend.open(IDENTITY, folder),
  });
}
