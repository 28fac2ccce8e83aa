/**
 * The product as its users run it: a storage node and a daemon as processes of their own, on a free TCP
 * port and unix sockets in a folder of the test's. Volumes are made and attached through the APIs, which
 * takes milliseconds; that the command does the same is the business of the CLI's tests.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAdminClient, type AdminClient } from '#daemon/cli/admin-client.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { TlsMaterial, type TlsFiles } from '#daemon/security/tls-material.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';
import type { ExportWishes, NbdExport, NbdServer } from './nbd-server-interface.js';
import { RunningProgram } from './program.js';
import { tlsEnvironment } from './certificates.js';
import { attachRequest } from './attach-request.js';

/** For one call of the test to either program. */
const CALL_TIMEOUT_MS = 20_000;

const PROGRAM_FOLDER = fileURLToPath(new URL('../../../daemon/dist/program/', import.meta.url));

/** Settings as the programs read them from their environment: BLKFERRY_QUEUE_DEPTH and so on. */
export interface StackSettings {
  readonly node?: Readonly<Record<string, string>>;
  readonly daemon?: Readonly<Record<string, string>>;
  /** For the node, the daemon and the test's own client alike. */
  readonly tls?: TlsFiles;
}

export class BlkferryStack implements NbdServer {
  #exports = 0;

  private constructor(
    readonly folder: string,
    readonly node: RunningProgram,
    readonly nodeAddress: string,
    readonly daemon: RunningProgram,
    readonly storage: StorageClient,
    readonly admin: AdminClient,
  ) {}

  /** @throws Error with the messages of the program that did not start; nothing is left running */
  static async start(folder: string, settings: StackSettings = {}): Promise<BlkferryStack> {
    const node = await startNode(folder, settings);
    try {
      const daemon = await startDaemon(folder, node.address, settings);
      const storage = createGrpcStorageClient({
        address: node.address,
        callTimeoutMs: CALL_TIMEOUT_MS,
        sessionTimes: { openTimeoutMs: 5000, probeIntervalMs: 1000, probeTimeoutMs: 5000 },
        insecure: false,
        tls: settings.tls === undefined ? undefined : TlsMaterial.load(settings.tls, Date.now()),
        clock: SYSTEM_CLOCK,
      });
      const admin = createAdminClient({
        address: `unix:${path.join(folder, 'admin.sock')}`,
        timeoutMs: CALL_TIMEOUT_MS,
      });
      return new BlkferryStack(folder, node.program, node.address, daemon, storage, admin);
    } catch (error) {
      await node.program.kill();
      throw error;
    }
  }

  get socketPath(): string {
    return path.join(this.folder, 'nbd.sock');
  }

  get pids(): readonly number[] {
    return [this.node.pid, this.daemon.pid];
  }

  /** Makes a volume and attaches it. */
  async newExport(wishes: ExportWishes): Promise<NbdExport> {
    this.#exports += 1;
    const name = `vol${this.#exports}`;
    const { sizeBytes, blockBytes = 0, isReadOnly = false } = wishes;
    await this.storage.createVolume({ name, sizeBytes, blockBytes, backend: '' });
    const { attachment } = await this.admin.attach(attachRequest(name, { readOnly: isReadOnly }));
    return { name, uri: attachment.uris[0]!, socketPath: this.socketPath };
  }

  async allocatedBytes(disk: NbdExport): Promise<number> {
    return (await this.storage.getVolume(disk.name)).allocatedBytes;
  }

  /** Ends both in order. @returns their exit statuses, 0 when they could end as they wanted */
  async stop(): Promise<{ daemon: number | null; node: number | null }> {
    this.admin.close();
    this.storage.close();
    const daemon = await this.daemon.stop();
    return { daemon, node: await this.node.stop() };
  }
}

async function startNode(
  folder: string,
  settings: StackSettings,
): Promise<{ program: RunningProgram; address: string }> {
  const args = ['--data-directory', path.join(folder, 'data'), '--listen', '127.0.0.1:0'];
  const { program, readyLine } = await startOurs('blkferry-node', args, {
    ...tlsOf(settings),
    ...(settings.tls === undefined ? {} : { BLKFERRY_ACCESS_FILE: everythingAllowed(folder) }),
    ...settings.node,
  });
  return { program, address: /ready: (\S+)/.exec(readyLine)![1]! };
}

async function startDaemon(
  folder: string,
  nodeAddress: string,
  settings: StackSettings,
): Promise<RunningProgram> {
  const inFolder = (name: string): string => path.join(folder, name);
  mkdirSync(inFolder('run'), { recursive: true, mode: 0o700 });
  const args = [
    ...['--node', nodeAddress],
    ...['--admin-socket', inFolder('admin.sock'), '--nbd-socket', inFolder('nbd.sock')],
    ...['--state-directory', inFolder('state'), '--runtime-directory', inFolder('run')],
  ];
  const environment = { ...tlsOf(settings), ...settings.daemon };
  return (await startOurs('blkferryd', args, environment)).program;
}

/** Rules for tests of something else. */
function everythingAllowed(folder: string): string {
  const file = path.join(folder, 'access.toml');
  const rights = '["write", "take-over", "administer"]';
  writeFileSync(file, `[[rule]]\nclients = ["*"]\nvolumes = ["*"]\nrights = ${rights}\n`);
  return file;
}

function tlsOf({ tls }: StackSettings): Record<string, string> {
  return tls === undefined ? {} : tlsEnvironment(tls);
}

function startOurs(
  name: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ program: RunningProgram; readyLine: string }> {
  const script = path.join(PROGRAM_FOLDER, `${name}.js`);
  return RunningProgram.start(script, args, {
    readyLine: new RegExp(`^${name} ready: `),
    environment,
  });
}
