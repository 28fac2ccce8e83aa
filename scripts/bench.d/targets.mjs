/**
 * What is measured: ways from an NBD client's unix socket to a file on this machine. All but the ceilings have two hops,
 * as blkferry has, and run with their ordinary settings: no target is told to sync or to cache otherwise than it does,
 * and all have their data on the same file system. Every target is {name, title, description, uri, pids, stop}; `pids`
 * are the server's at the client, then the one at the data.
 */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Blkferry } from './blkferry.mjs';
import { accepts, start } from './program.mjs';

const FRONT_PROGRAM = fileURLToPath(new URL('front-program.mjs', import.meta.url));

/** The target that all others are compared with. */
export const BASELINE = 'nbdkit2';
/** They do less than the others: what could be reached at most. */
export const CEILINGS = new Set(['nbdkit1', 'front']);

export const TARGETS = {
  blkferry: {
    title: 'blkferry',
    description: 'blkferryd, gRPC over TCP loopback, blkferry-node, file',
    start: startBlkferry,
  },
  cached: {
    title: 'cached',
    description: 'the same with write_cache = on; writes only',
    start: startCached,
    takes: isWrite,
  },
  nbdkit2: {
    title: 'nbdkit x2',
    description: 'nbdkit nbd plugin, NBD over TCP loopback, nbdkit file plugin',
    start: startTwoNbdkit,
  },
  qemu2: {
    title: 'qemu x2',
    description: 'qemu-nbd, NBD over a unix socket, qemu-nbd on a raw file',
    start: startTwoQemu,
  },
  nbdkit1: {
    title: 'nbdkit x1',
    description: 'nbdkit file plugin, one hop only: the ceiling of an NBD server',
    start: startOneNbdkit,
  },
  front: {
    title: 'front',
    description: "blkferryd's NBD server on memory, nothing behind: the ceiling of our front half",
    start: startFront,
    takes: ({ kind }) => kind === 'fio',
  },
};

/** Whether the load is measured on the target. */
export function takes(name, load) {
  return TARGETS[name].takes?.(load) ?? true;
}

/** @throws BenchFailure if one of its programs does not start; those before are stopped */
export async function startTarget(name, folder, sizeBytes) {
  const { title, description, start: begin } = TARGETS[name];
  mkdirSync(folder, { recursive: true });
  const servers = [];
  const stop = async () => {
    // The front first: it must not look for a back that is gone.
    for (const server of servers.reverse().splice(0)) await server.stop();
  };
  try {
    const uri = await begin(folder, sizeBytes, servers);
    const pids = () => servers.map(({ pid }) => pid).reverse();
    const isFor = (load) => takes(name, load);
    return { name, title, description, takes: isFor, uri, pids, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function isWrite({ name, kind }) {
  return kind === 'fio' && name.includes('write');
}

function startCached(folder, sizeBytes, servers) {
  return startBlkferry(folder, sizeBytes, servers, { BLKFERRY_WRITE_CACHE: 'on' });
}

async function startFront(folder, sizeBytes, servers) {
  const words = [FRONT_PROGRAM, path.join(folder, 'front.sock'), String(sizeBytes)];
  const front = await start(process.execPath, words, (output) => output.includes('ready: '));
  servers.push(front);
  return /ready: (\S+)/.exec(front.output())[1];
}

async function startBlkferry(folder, sizeBytes, servers, environment = {}) {
  const ours = await Blkferry.start(folder, { daemon: { environment } });
  servers.push({ pid: ours.pids.node, stop: () => undefined });
  servers.push({ pid: ours.pids.daemon, stop: () => ours.stop() });
  return ours.newVolume('bench', sizeBytes);
}

function startTwoNbdkit(folder, sizeBytes, servers) {
  return startNbdkitPair(folder, newFile(folder, sizeBytes), servers);
}

/** @param servers get those that run, also if a later one does not start @returns the address for NBD clients */
export async function startNbdkitPair(folder, file, servers) {
  const socket = path.join(folder, 'front.sock');
  const port = await freePort();
  servers.push(
    await start('nbdkit', ['-f', '-i', '127.0.0.1', '-p', String(port), 'file', file], () =>
      accepts({ host: '127.0.0.1', port }),
    ),
    await start('nbdkit', ['-f', '-U', socket, 'nbd', `uri=nbd://127.0.0.1:${port}`], () =>
      accepts(socket),
    ),
  );
  return uriOf(socket);
}

/** Over TCP the second qemu-nbd 7.2 stalls for want of TCP_NODELAY; a win over that would mean nothing. */
async function startTwoQemu(folder, sizeBytes, servers) {
  const [front, back] = [path.join(folder, 'front.sock'), path.join(folder, 'back.sock')];
  for (const [socket, image] of [
    [back, newFile(folder, sizeBytes)],
    [front, uriOf(back)],
  ]) {
    const words = ['--persistent', '--shared=0', '--format=raw', '--discard=unmap'];
    servers.push(
      await start('qemu-nbd', [...words, `--socket=${socket}`, image], () => accepts(socket)),
    );
  }
  return uriOf(front);
}

async function startOneNbdkit(folder, sizeBytes, servers) {
  const socket = path.join(folder, 'only.sock');
  const words = ['-f', '-U', socket, 'file', newFile(folder, sizeBytes)];
  servers.push(await start('nbdkit', words, () => accepts(socket)));
  return uriOf(socket);
}

/** A hole. */
export function newFile(folder, sizeBytes) {
  const file = path.join(folder, 'file');
  writeFileSync(file, '');
  truncateSync(file, sizeBytes);
  return file;
}

function uriOf(socket) {
  return `nbd+unix:///?socket=${socket}`;
}

/** Free a moment ago; a program that cannot have it any more fails with its own words. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
