/**
 * A process that changes a catalog without end, to be killed at any moment: creates, resizes, moves
 * leases, deletes. It prints a line when it begins. Run with the data directory as its argument.
 */
import { createBackends } from '#daemon/storage-node/backend/backend-registry.js';
import { openDataDirectory } from '#daemon/storage-node/data-directory.js';
import { VolumeCatalog } from '#daemon/storage-node/volume-catalog.js';

const MIB = 1024 * 1024;

const directory = await openDataDirectory(process.argv[2] ?? '');
const { catalog } = await VolumeCatalog.load(directory, createBackends());
console.log('worker ready');
for (let round = catalog.list().length; ; round += 1) {
  const name = `v${round % 5}`;
  const there = catalog.byName(name);
  if (there === undefined) {
    await catalog.create({ name, sizeBytes: MIB, blockBytes: 512, backend: 'file' });
  } else if (round % 3 === 0) {
    await catalog.delete(there.volumeId);
  } else if (round % 3 === 1) {
    await catalog.resize(there.volumeId, there.sizeBytes === MIB ? 3 * MIB : MIB);
  } else {
    const holder = {
      attachmentId: `a${round}`,
      description: 'worker',
      sinceUnixMs: round,
      firstGeneration: there.generation + 1,
    };
    await catalog.setLease(there.volumeId, { generation: there.generation + 1, holder });
  }
}
