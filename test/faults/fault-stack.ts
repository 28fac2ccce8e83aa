/**
 * A node, a relay before it (or several, as ways through several networks), and daemons, all real processes but the relay, in one folder; each can be
 * killed, stopped and started again at its address. A daemon of one's own has its own folder, as a
 * daemon on another machine would.
 */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAdminClient, type AdminClient } from '#daemon/cli/admin-client.js';
import { connectNbd, type NbdConnection } from '#daemon/cli/selftest/nbd-connection.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { createNodeClient } from '#daemon/transport/node-client.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';
import { attachRequest } from '#test/support/attach-request.js';
import { FaultyRelay } from '#test/support/faulty-relay.js';
import { PATIENCE, RunningProgram } from '#test/support/program.js';
import type { NodeNetwork } from './node-network.js';

const PROGRAMS = fileURLToPath(new URL('../../../daemon/dist/program/', import.meta.url));
/** Of the test's own calls; also in an emulated machine. */
const CALL_TIMEOUT_MS = 60_000;

/** With these a silent node is given up after 1 to 1.2 s. */
export const PROBE_INTERVAL_MS = 200 * PATIENCE;
export const PROBE_TIMEOUT_MS = 1000 * PATIENCE;

/** The longest time from a node's silence to its being given up. */
export const PROBE_BOUND_MS = PROBE_TIMEOUT_MS + PROBE_INTERVAL_MS;

type Settings = Readonly<Record<string, string>>;

const DAEMON_SETTINGS: Settings = {
  BLKFERRY_PROBE_INTERVAL: `${PROBE_INTERVAL_MS}ms`,
  BLKFERRY_PROBE_TIMEOUT: `${PROBE_TIMEOUT_MS}ms`,
  BLKFERRY_CONNECT_TIMEOUT: `${PATIENCE}s`,
  BLKFERRY_CHECKSUM: 'on',
};

export interface FaultStackOptions {
  readonly node?: Settings;
  readonly daemon?: Settings;
  /** Addresses of the node, each a relay; 1 if absent. */
  readonly ways?: number;
  /** The node is in a network of its own, and reached there instead of through relays. */
  readonly network?: NodeNetwork;
  /** Where the node keeps its volumes, if not in the folder. */
  readonly dataDirectory?: string;
}

/** A daemon with its folder, its settings and its admin client. */
export class FaultDaemon {
  #program: RunningProgram | undefined;
  readonly admin: AdminClient;

  constructor(
    readonly folder: string,
    readonly nodeAddress: string,
    readonly settings: Settings,
    readonly ownGroup = false,
  ) {
    mkdirSync(path.join(folder, 'run'), { recursive: true, mode: 0o700 });
    const address = `unix:${path.join(folder, 'admin.sock')}`;
    this.admin = createAdminClient({ address, timeoutMs: CALL_TIMEOUT_MS });
  }

  get program(): RunningProgram {
    if (this.#program === undefined) throw new Error('the daemon does not run');
    return this.#program;
  }

  async start(): Promise<void> {
    const inFolder = (name: string): string => path.join(this.folder, name);
    const args = [
      ...['--node', this.nodeAddress],
      ...['--admin-socket', inFolder('admin.sock'), '--nbd-socket', inFolder('nbd.sock')],
      ...['--state-directory', inFolder('state'), '--runtime-directory', inFolder('run')],
    ];
    this.#program = await startProgram('blkferryd', args, this.settings, {
      ownGroup: this.ownGroup,
    });
  }

  get adminSocket(): string {
    return path.join(this.folder, 'admin.sock');
  }

  get nbdSocket(): string {
    return path.join(this.folder, 'nbd.sock');
  }

  connect(exportName: string): Promise<NbdConnection> {
    return connectNbd({ socket: { path: this.nbdSocket }, exportName });
  }

  async kill(): Promise<void> {
    await this.#program?.kill();
  }

  async stop(): Promise<void> {
    this.admin.close();
    await this.#program?.stop();
  }
}

export class FaultStack {
  #node: RunningProgram | undefined;
  readonly #daemons: FaultDaemon[] = [];

  private constructor(
    readonly folder: string,
    readonly options: FaultStackOptions,
    /** The daemons' ways to the node, one for each of its addresses. */
    readonly relays: readonly FaultyRelay[],
    /** Around the relays. */
    readonly storage: StorageClient,
  ) {}

  /** With one daemon, and the volume `v1` attached by it. @throws Error; nothing is left running */
  static async start(
    folder: string,
    volumeBytes: number,
    options: FaultStackOptions = {},
  ): Promise<FaultStack> {
    const nodeSocket = path.join(folder, 'node.sock');
    const relays: FaultyRelay[] = [];
    const ways = options.network === undefined ? (options.ways ?? 1) : 0;
    for (let way = 1; way <= ways; way += 1) {
      relays.push(await FaultyRelay.start(path.join(folder, `way${way}.sock`), nodeSocket));
    }
    const storage = createNodeClient({
      address: options.network?.addresses ?? `unix:${nodeSocket}`,
      callTimeoutMs: CALL_TIMEOUT_MS,
      sessionTimes: { openTimeoutMs: 5000, probeIntervalMs: 1000, probeTimeoutMs: 5000 },
      insecure: options.network !== undefined,
      clock: SYSTEM_CLOCK,
    });
    const stack = new FaultStack(folder, options, relays, storage);
    try {
      await stack.startNode();
      const daemon = await stack.addDaemon();
      await storage.createVolume({
        name: 'v1',
        sizeBytes: volumeBytes,
        blockBytes: 0,
        backend: '',
      });
      // Taken over: the data directory may be of an earlier life, with a lease of it.
      await daemon.admin.attach(attachRequest('v1', { takeOver: true }));
      return stack;
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  /** The first way. */
  get relay(): FaultyRelay {
    const [first] = this.relays;
    if (first === undefined) throw new Error('there is no relay');
    return first;
  }

  get node(): RunningProgram {
    if (this.#node === undefined) throw new Error('the node does not run');
    return this.#node;
  }

  get daemon(): FaultDaemon {
    const [first] = this.#daemons;
    if (first === undefined) throw new Error('there is no daemon');
    return first;
  }

  get dataDirectory(): string {
    return this.options.dataDirectory ?? path.join(this.folder, 'data');
  }

  async addDaemon(): Promise<FaultDaemon> {
    const folder = path.join(this.folder, `daemon${this.#daemons.length + 1}`);
    const { network } = this.options;
    const plain = network === undefined ? {} : { BLKFERRY_INSECURE: 'true' };
    const settings = { ...DAEMON_SETTINGS, ...plain, ...this.options.daemon };
    const node = network?.addresses ?? this.relays.map(({ address }) => address).join(',');
    const daemon = new FaultDaemon(folder, node, settings);
    this.#daemons.push(daemon);
    await daemon.start();
    return daemon;
  }

  async startNode(): Promise<void> {
    const { network, node: settings } = this.options;
    const address = network?.listen ?? `unix:${path.join(this.folder, 'node.sock')}`;
    const args = ['--data-directory', this.dataDirectory, '--listen', address];
    this.#node =
      network === undefined
        ? await startProgram('blkferry-node', args, settings)
        : await startProgram('blkferry-node', [...args, '--insecure'], settings, {
            prefix: network.prefix,
          });
  }

  async stop(): Promise<void> {
    for (const relay of this.relays) relay.flow();
    this.storage.close();
    for (const daemon of this.#daemons) await daemon.stop();
    await this.#node?.stop();
    for (const relay of this.relays) await relay.stop();
  }
}

async function startProgram(
  name: string,
  args: readonly string[],
  environment: Settings = {},
  { ownGroup = false, prefix = [] }: { ownGroup?: boolean; prefix?: readonly string[] } = {},
): Promise<RunningProgram> {
  const [command = '', ...words] = [...prefix, path.join(PROGRAMS, `${name}.js`), ...args];
  const { program } = await RunningProgram.start(command, words, {
    readyLine: /ready: /,
    environment,
    ownGroup,
  });
  return program;
}
