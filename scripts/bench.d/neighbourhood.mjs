/**
 * Servers with three volumes each: a quiet one, whose client is measured, a noisy one, and one on a slow disk. For ours
 * all three are one daemon's and one node's, with one thread for all or one for each. For nbdkit each has two processes of its own, as who serves several disks
 * with nbdkit runs it: what its volumes do to each other is what the processors and the memory do that all share.
 */
import { mkdirSync, symlinkSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import { Blkferry } from './blkferry.mjs';
import { run } from './program.mjs';
import { newFile, startNbdkitPair } from './targets.mjs';

export const SERVERS = {
  blkferry: {
    title: 'blkferry',
    description: 'one blkferryd and one blkferry-node for all volumes',
    start: startBlkferry,
  },
  workers: {
    title: 'workers=3',
    description: 'the same with workers = 3 in both programs: a thread for each volume',
    start: (folder, data, servers) =>
      startBlkferry(folder, data, servers, { BLKFERRY_WORKERS: '3' }),
  },
  nbdkit2: {
    title: 'nbdkit x2',
    description: 'nbdkit -> nbdkit, a pair of processes for each volume',
    start: startNbdkitPairs,
  },
};

/**
 * @param data sizeBytes of each volume; source: what is in each; slowFile: where the slow volume's data is, with the
 *   source in it, or undefined if there is no slow disk
 * @param atEnd takes what ends it
 * @returns {name, title, uris: {quiet, noisy, slow}}
 */
export async function startServer(name, folder, data, atEnd) {
  const { title, start } = SERVERS[name];
  const servers = [];
  atEnd(async () => {
    // The fronts first: they must not look for a back that is gone.
    for (const server of servers.splice(0).reverse()) await server.stop();
  });
  mkdirSync(folder, { recursive: true });
  const uris = await start(folder, data, servers);
  for (const volume of ['quiet', 'noisy']) await run('nbdcopy', [data.source, uris[volume]]);
  return { name, title, uris };
}

async function startBlkferry(folder, { sizeBytes, slowFile }, servers, environment = {}) {
  const ours = await Blkferry.start(folder, { daemon: { environment }, node: { environment } });
  servers.push(ours);
  const uris = {};
  for (const volume of ['quiet', 'noisy']) uris[volume] = await ours.newVolume(volume, sizeBytes);
  if (slowFile === undefined) return uris;
  // A node has one folder for all volumes; before the first use the file may be moved to another disk.
  const file = ours.dataFile(await ours.createVolume('slow', sizeBytes));
  unlinkSync(file);
  symlinkSync(slowFile, file);
  return { ...uris, slow: await ours.attach('slow') };
}

async function startNbdkitPairs(folder, { sizeBytes, slowFile }, servers) {
  const uris = {};
  for (const volume of ['quiet', 'noisy', ...(slowFile === undefined ? [] : ['slow'])]) {
    const own = path.join(folder, volume);
    mkdirSync(own);
    const file = volume === 'slow' ? slowFile : newFile(own, sizeBytes);
    uris[volume] = await startNbdkitPair(own, file, servers);
  }
  return uris;
}
