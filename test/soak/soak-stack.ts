/**
 * What a soak loads: two nodes and two daemons. The first of each is never restarted, so that growth has the
 * whole time to show; the second of each is killed, stopped and started again, and the first ones have to
 * live with that. Each daemon uses both nodes.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';
import { RunningProgram } from '#test/support/program.js';
import { FaultDaemon } from '../faults/fault-stack.js';

const PROGRAMS = fileURLToPath(new URL('../../../daemon/dist/program/', import.meta.url));
const PROBE = new URL('./process-probe.js', import.meta.url).href;

/** Of the soak's own calls; a node that starts on a busy machine needs seconds. */
const CALL_TIMEOUT_MS = 60_000;

export type ProgramName = 'daemon-1' | 'node-1' | 'daemon-2' | 'node-2';

/** In this order everywhere. */
export const PROGRAM_NAMES: readonly ProgramName[] = ['daemon-1', 'node-1', 'daemon-2', 'node-2'];

/** Those that run from the beginning to the end. */
export const STEADY_PROGRAMS: readonly ProgramName[] = ['daemon-1', 'node-1'];

export type Manner = 'kill' | 'stop';

export class SoakNode {
  #program: RunningProgram | undefined;
  #storage: StorageClient | undefined;
  #address = '';

  /** @param listen port 0 takes a free one, and keeps it */
  constructor(
    readonly folder: string,
    readonly listen: string,
    readonly environment: Readonly<Record<string, string>>,
  ) {}

  get program(): RunningProgram | undefined {
    return this.#program;
  }

  get address(): string {
    return this.#address;
  }

  get storage(): StorageClient {
    if (this.#storage === undefined) throw new Error('the node was never started');
    return this.#storage;
  }

  async start(): Promise<void> {
    const listen = this.#address === '' ? this.listen : this.#address;
    const started = await RunningProgram.start(
      path.join(PROGRAMS, 'blkferry-node.js'),
      ['--data-directory', path.join(this.folder, 'data'), '--listen', listen],
      { readyLine: /ready: /, environment: this.environment, ownGroup: true },
    );
    this.#program = started.program;
    this.#address = /ready: (\S+)/.exec(started.readyLine)?.[1] ?? this.listen;
    this.#storage ??= createGrpcStorageClient({
      address: this.#address,
      callTimeoutMs: CALL_TIMEOUT_MS,
      sessionTimes: { openTimeoutMs: 5000, probeIntervalMs: 1000, probeTimeoutMs: 5000 },
      insecure: false,
      clock: SYSTEM_CLOCK,
    });
  }

  async stop(): Promise<number | null> {
    this.#storage?.close();
    return (await this.#program?.stop()) ?? null;
  }
}

export class SoakStack {
  readonly nodes: readonly [SoakNode, SoakNode];
  readonly #daemons: FaultDaemon[] = [];
  readonly #environment: Readonly<Record<string, string>>;

  /** @param logFolder where the programs' messages are kept, one file for each life */
  private constructor(
    readonly folder: string,
    readonly logFolder: string,
  ) {
    this.#environment = { NODE_OPTIONS: `--import=${PROBE}`, SOAK_PROBE_FOLDER: folder };
    const newNode = (name: string, listen: string): SoakNode =>
      new SoakNode(path.join(folder, name), listen, this.#environment);
    this.nodes = [
      newNode('node-1', '127.0.0.1:0'),
      newNode('node-2', `unix:${path.join(folder, 'node-2.sock')}`),
    ];
  }

  /** @throws Error with the messages of the program that did not start; nothing is left running */
  static async start(folder: string, logFolder: string): Promise<SoakStack> {
    const stack = new SoakStack(folder, logFolder);
    try {
      for (const node of stack.nodes) await node.start();
      for (const name of ['daemon-1', 'daemon-2']) {
        const settings = { ...stack.#environment, BLKFERRY_CHECKSUM: 'on' };
        const address = stack.nodes[0].address;
        const daemon = new FaultDaemon(path.join(folder, name), address, settings, true);
        stack.#daemons.push(daemon);
        await daemon.start();
      }
      return stack;
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  /** @param index 0 or 1 */
  daemon(index: number): FaultDaemon {
    const daemon = this.#daemons[index];
    if (daemon === undefined) throw new Error(`there is no daemon ${index}`);
    return daemon;
  }

  /** The program as it runs now; undefined while it is being restarted. */
  program(name: ProgramName): RunningProgram | undefined {
    const index = name.endsWith('1') ? 0 : 1;
    const program = name.startsWith('node')
      ? this.nodes[index].program
      : this.daemon(index).program;
    return program?.isRunning === true ? program : undefined;
  }

  /** Ends a program and starts it again. @throws Error if an ordered end was not in order */
  async restart(name: ProgramName, manner: Manner): Promise<void> {
    await this.end(name, manner);
    await this.begin(name);
  }

  async end(name: ProgramName, manner: Manner): Promise<void> {
    const program = this.program(name);
    if (program === undefined) throw new Error(`${name} does not run any more`);
    if (manner === 'kill') await program.kill();
    else await requireOrder(name, await program.stop());
    this.#keepLog(name, program);
  }

  begin(name: ProgramName): Promise<void> {
    return name === 'node-2' ? this.nodes[1].start() : this.daemon(1).start();
  }

  /** Files and folders of all programs: data, state, replay logs. */
  files(): string[] {
    return PROGRAM_NAMES.flatMap((name) => {
      const folder = path.join(this.folder, name);
      return readdirSync(folder, { recursive: true }).map((file) => `${name}/${String(file)}`);
    }).sort();
  }

  /** Ends everything. @returns sentences about programs that did not end in order */
  async stop(): Promise<string[]> {
    const problems: string[] = [];
    const ended = async (name: ProgramName, stop: () => Promise<void>): Promise<void> => {
      const program = this.#known(name);
      try {
        await stop();
        await requireOrder(name, (await program?.ended()) ?? 0);
      } catch (error) {
        problems.push((error as Error).message);
      }
      if (program !== undefined) this.#keepLog(name, program);
    };
    for (const [index, daemon] of this.#daemons.entries()) {
      await ended(index === 0 ? 'daemon-1' : 'daemon-2', () => daemon.stop());
    }
    for (const [index, node] of this.nodes.entries()) {
      await ended(index === 0 ? 'node-1' : 'node-2', async () => {
        await node.stop();
      });
    }
    return problems;
  }

  #known(name: ProgramName): RunningProgram | undefined {
    const index = name.endsWith('1') ? 0 : 1;
    if (name.startsWith('node')) return this.nodes[index].program;
    return index < this.#daemons.length ? this.daemon(index).program : undefined;
  }

  #keepLog(name: ProgramName, program: RunningProgram): void {
    mkdirSync(this.logFolder, { recursive: true });
    writeFileSync(path.join(this.logFolder, `${name}-${program.pid}.log`), program.stderr());
  }
}

async function requireOrder(name: ProgramName, status: number | null): Promise<void> {
  if (status === 0) return;
  throw new Error(`${name} ended with status ${status ?? 'none, it had to be killed'}`);
}
