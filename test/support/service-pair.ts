/**
 * A node and a daemon as processes that can be killed and started again, each at the same address as
 * before, in one folder.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAdminClient } from '#daemon/cli/admin-client.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import { PATIENCE, RunningProgram } from './program.js';
import { attachRequest } from './attach-request.js';

const PROGRAMS = fileURLToPath(new URL('../../../daemon/dist/program/', import.meta.url));

/** A silent node is noticed soon, so that tests need not wait for it. */
const DAEMON_SETTINGS = {
  BLKFERRY_PROBE_INTERVAL: '200ms',
  BLKFERRY_PROBE_TIMEOUT: `${PATIENCE}s`,
  BLKFERRY_CONNECT_TIMEOUT: `${2 * PATIENCE}s`,
};

export class ServicePair {
  #node: RunningProgram | undefined;
  #daemon: RunningProgram | undefined;

  /** @param nodeSettings for the node's environment */
  constructor(
    readonly folder: string,
    readonly nodeSettings: Readonly<Record<string, string>> = {},
  ) {}

  get nbdSocket(): string {
    return path.join(this.folder, 'nbd.sock');
  }

  get adminSocket(): string {
    return path.join(this.folder, 'admin.sock');
  }

  get nodeAddress(): string {
    return `unix:${path.join(this.folder, 'node.sock')}`;
  }

  get node(): RunningProgram {
    if (this.#node === undefined) throw new Error('the node does not run');
    return this.#node;
  }

  get daemon(): RunningProgram {
    if (this.#daemon === undefined) throw new Error('the daemon does not run');
    return this.#daemon;
  }

  async start(): Promise<void> {
    await this.startNode();
    await this.startDaemon();
  }

  async startNode(): Promise<void> {
    this.#node = await this.#startNodeProcess();
  }

  async startDaemon(): Promise<void> {
    this.#daemon = await this.#startDaemonProcess();
  }

  /** Never succeeds: the directory is in use. */
  startSecondNode(): Promise<RunningProgram> {
    return this.#startNodeProcess();
  }

  startSecondDaemon(): Promise<RunningProgram> {
    return this.#startDaemonProcess();
  }

  async attachVolume(name: string, sizeBytes: number): Promise<void> {
    const sessionTimes = { openTimeoutMs: 5000, probeIntervalMs: 1000, probeTimeoutMs: 5000 };
    const storage = createGrpcStorageClient({
      address: this.nodeAddress,
      callTimeoutMs: 5000,
      sessionTimes,
      insecure: false,
      clock: SYSTEM_CLOCK,
    });
    const admin = createAdminClient({ address: `unix:${this.adminSocket}`, timeoutMs: 5000 });
    try {
      await storage.createVolume({ name, sizeBytes, blockBytes: 512, backend: '' });
      await admin.attach(attachRequest(name));
    } finally {
      storage.close();
      admin.close();
    }
  }

  async killNode(): Promise<void> {
    await this.#node?.kill();
  }

  async killDaemon(): Promise<void> {
    await this.#daemon?.kill();
  }

  /** @returns its exit status */
  async stopDaemon(): Promise<number | null> {
    return (await this.#daemon?.stop()) ?? null;
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop();
    await this.#node?.stop();
  }

  async #startNodeProcess(): Promise<RunningProgram> {
    const args = ['--data-directory', path.join(this.folder, 'data'), '--listen', this.nodeAddress];
    const started = await RunningProgram.start(path.join(PROGRAMS, 'blkferry-node.js'), args, {
      readyLine: /ready: /,
      environment: this.nodeSettings,
    });
    return started.program;
  }

  async #startDaemonProcess(): Promise<RunningProgram> {
    const inFolder = (name: string): string => path.join(this.folder, name);
    const args = [
      ...['--node', this.nodeAddress],
      ...['--admin-socket', this.adminSocket, '--nbd-socket', this.nbdSocket],
      ...['--state-directory', inFolder('state'), '--runtime-directory', inFolder('run')],
    ];
    const started = await RunningProgram.start(path.join(PROGRAMS, 'blkferryd.js'), args, {
      readyLine: /ready: /,
      environment: DAEMON_SETTINGS,
    });
    return started.program;
  }
}
