/**
 * The NBD server that the interop tests judge: ours, or, to judge the tests themselves, another one.
 *
 *     BLKFERRY_INTEROP_SERVER=nbdkit     (or qemu-nbd) runs the same tests against it; where such a
 *     server rightly differs (limits, block sizes), tests fail that are about ours.
 */
import { existsSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { BlkferryStack, type StackSettings } from './blkferry-stack.js';
import type { ExportWishes, NbdExport, NbdServer } from './nbd-server-interface.js';
import { RunningProgram } from './program.js';

/**
 * A server for a whole suite or file: started before its first test, stopped after its last, and its
 * folder removed. Call it where hooks belong, and the result inside of tests.
 */
export function nbdServerForSuite(settings: StackSettings = {}): () => NbdServer {
  let running: NbdServer | undefined;
  let folder: string | undefined;
  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'blkferry-test-'));
    running = await startNbdServer(folder, settings);
  });
  after(async () => {
    await running?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });
  return () => running!;
}

/** @param folder for data and sockets; its path must be short enough for a unix socket's name */
function startNbdServer(folder: string, settings: StackSettings): Promise<NbdServer> {
  const kind = process.env['BLKFERRY_INTEROP_SERVER'] ?? 'blkferry';
  switch (kind) {
    case 'blkferry':
      return BlkferryStack.start(folder, settings);
    case 'nbdkit':
    case 'qemu-nbd':
      return Promise.resolve(new ReferenceServer(kind, folder));
    default:
      throw new Error(`BLKFERRY_INTEROP_SERVER is ${kind}; use blkferry, nbdkit or qemu-nbd`);
  }
}

/** A process and a sparse file for each export. */
class ReferenceServer implements NbdServer {
  readonly #programs: RunningProgram[] = [];

  constructor(
    readonly kind: 'nbdkit' | 'qemu-nbd',
    readonly folder: string,
  ) {}

  async newExport({ sizeBytes, isReadOnly = false }: ExportWishes): Promise<NbdExport> {
    const name = this.kind === 'nbdkit' ? '' : `vol${this.#programs.length + 1}`;
    const file = path.join(this.folder, `disk${this.#programs.length}`);
    const socketPath = `${file}.sock`;
    writeFileSync(file, '');
    truncateSync(file, sizeBytes);
    const readOnly = isReadOnly ? ['-r'] : [];
    const args =
      this.kind === 'nbdkit'
        ? ['-f', '-U', socketPath, ...readOnly, 'file', file]
        : [
            ...['-t', '-e', '0', '--discard=unmap', '-f', 'raw', '-x', name],
            ...['-k', socketPath, ...readOnly, file],
          ];
    const { program } = await RunningProgram.start(this.kind, args);
    this.#programs.push(program);
    while (!existsSync(socketPath) && program.isRunning) await wait(10);
    return { name, uri: `nbd+unix:///${name}?socket=${socketPath}`, socketPath };
  }

  async allocatedBytes(disk: NbdExport): Promise<number> {
    return statSync(disk.socketPath.replace(/\.sock$/, '')).blocks * 512;
  }

  async stop(): Promise<void> {
    for (const program of this.#programs) await program.stop();
  }
}
