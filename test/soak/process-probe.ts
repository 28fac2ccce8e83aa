/**
 * Loaded into the programs of a soak before their own code (`node --import`): answers whoever connects to its
 * socket with what only the process itself knows. The programs have no such door; this one is never shipped.
 *
 * One line in: "look", or "collect" to have the garbage collected first, so that the heap is what is still
 * reachable. One line of JSON out. What the probe itself uses is one listening socket and one connection.
 */
import { existsSync, readdirSync, unlinkSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Where the probe listens: in the folder that this names, by the number of the process. */
const FOLDER = process.env['SOAK_PROBE_FOLDER'];

function answer(wish: string): string {
  if (wish === 'collect') collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  const handles: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) handles[kind] = (handles[kind] ?? 0) + 1;
  // From inside: a process that forbids core dumps lets only root look into its folder.
  const fds = readdirSync('/proc/self/fd').length;
  return JSON.stringify({ heapBytes: heapUsed + external, fds, handles });
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // Twice: what finalizers of the first round let go.
  collect();
  collect();
}

if (FOLDER !== undefined) {
  const file = path.join(FOLDER, `${process.pid}.probe`);
  // A daemon begins anew as the same process (runtime/io-flusher.ts); the socket of its first beginning is dead.
  if (existsSync(file)) unlinkSync(file);
  const server = net.createServer((socket) => {
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.on('data', (wish: string) => socket.end(`${answer(wish.trim())}\n`));
  });
  server.on('error', () => undefined);
  server.listen(file);
  server.unref();
}
