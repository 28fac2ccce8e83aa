/** Our own two programs for a measurement: a node and a daemon as processes, and volumes attached to them. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { run, start } from './program.mjs';

const PROGRAM_FOLDER = fileURLToPath(new URL('../../daemon/dist/program/', import.meta.url));
const COMMAND = path.join(PROGRAM_FOLDER, 'blkferry.js');

/** V8's settings of the programs themselves; their first lines have them, which flags of ours replace. */
export const NODE_WORDS = ['--initial-old-space-size=128'];

/** The node's, for reads that wait for a disk; in its first line too. */
const THREADS = { UV_THREADPOOL_SIZE: '32' };

/** NBD clients are measured here, also where the kernel could have a device. */
const NO_DEVICES = { BLKFERRY_DEVICE_MODE: 'none' };

/** @returns what the program prints to --print-config, which tells the settings that it knows */
export function printedConfig(name) {
  return run(process.execPath, [path.join(PROGRAM_FOLDER, `${name}.js`), '--print-config']);
}

/** The command `blkferry` to its end. @returns what it printed */
export function runCommand(...words) {
  return run(process.execPath, [COMMAND, ...words]);
}

/** @param options nodeWords: flags of Node; environment: settings */
function startOurs(name, words, { nodeWords = [], environment = {} } = {}) {
  const program = path.join(PROGRAM_FOLDER, `${name}.js`);
  return start(
    process.execPath,
    [...NODE_WORDS, ...nodeWords, program, ...words],
    (output) => output.includes(`${name} ready: `),
    { environment: { ...THREADS, ...environment } },
  );
}

export class Blkferry {
  /** In the order in which they are stopped: the front must not look for a back that is gone. */
  #servers = [];

  constructor(folder) {
    this.folder = folder;
    this.adminSocket = path.join(folder, 'admin.sock');
  }

  /** @throws BenchFailure if a program does not start; nothing is left running */
  static async start(folder, { daemon = {}, node = {} } = {}) {
    mkdirSync(folder, { recursive: true });
    const ours = new Blkferry(folder);
    try {
      await ours.#start(daemon, node);
    } catch (error) {
      await ours.stop();
      throw error;
    }
    return ours;
  }

  async #start(daemonOptions, nodeOptions) {
    const inFolder = (name) => path.join(this.folder, name);
    this.node = await startOurs(
      'blkferry-node',
      ['--data-directory', inFolder('data'), '--listen', '127.0.0.1:0'],
      nodeOptions,
    );
    this.#servers.unshift(this.node);
    this.nodeAddress = /ready: (\S+)/.exec(this.node.output())[1];
    this.daemon = await startOurs(
      'blkferryd',
      [
        ...['--node', this.nodeAddress, '--admin-socket', this.adminSocket],
        ...['--nbd-socket', inFolder('nbd.sock')],
        ...['--state-directory', inFolder('state'), '--runtime-directory', inFolder('run')],
      ],
      { ...daemonOptions, environment: { ...NO_DEVICES, ...daemonOptions.environment } },
    );
    this.#servers.unshift(this.daemon);
  }

  get pids() {
    return { daemon: this.daemon.pid, node: this.node.pid };
  }

  get dataFolder() {
    return path.join(this.folder, 'data');
  }

  /** @param backend undefined: the node's own choice @returns the address for NBD clients */
  async newVolume(name, sizeBytes, backend) {
    await this.createVolume(name, sizeBytes, backend);
    return this.attach(name);
  }

  /** @returns its id */
  async createVolume(name, sizeBytes, backend) {
    const words = backend === undefined ? [] : ['--backend', backend];
    const output = await runCommand(
      ...['volume', 'create', name, String(sizeBytes), '--json'],
      ...words,
      ...this.#nodeWords(),
    );
    return JSON.parse(output).volume.volumeId;
  }

  /** The file that holds the volume's data, with the node's own backend. */
  dataFile(volumeId) {
    return path.join(this.dataFolder, 'volumes', volumeId, 'data');
  }

  /** @returns the address for NBD clients */
  async attach(name) {
    const words = ['attach', name, '--admin-socket', this.adminSocket, '--json'];
    return JSON.parse(await runCommand(...words)).attachment.uris[0];
  }

  #nodeWords() {
    return ['--node', this.nodeAddress];
  }

  async stop() {
    for (const server of this.#servers.splice(0)) await server.stop();
  }
}
