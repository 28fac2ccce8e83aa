/**
 * The world as a command sees it, played by the test: a node, a daemon, streams that remember, a clock
 * that stands still, and Ctrl-C on demand.
 */
import { Readable, Writable } from 'node:stream';
import { runCommandLine } from '#daemon/cli/command-line.js';
import type { AdminClientOptions } from '#daemon/cli/admin-client.js';
import type { NodeClientOptions, Surroundings } from '#daemon/cli/surroundings.js';
import type { CuttableDevice } from '#daemon/cli/selftest/load-lane.js';
import type { NbdTarget } from '#daemon/cli/selftest/nbd-target.js';
import { FakeClock } from '#test/support/fake-clock.js';
import { FakeDisk } from './fake-disk.js';
import { FakeDaemon } from './fake-daemon.js';
import { FakeMachine } from './fake-machine.js';
import { FakeNode } from './fake-node.js';

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class FakeSurroundings implements Surroundings {
  stdin: Readable = Readable.from([]);
  readonly stdoutChunks: Buffer[] = [];
  readonly stderrChunks: Buffer[] = [];
  stdout: Writable = remembering(this.stdoutChunks);
  stderr: Writable = remembering(this.stderrChunks);
  stdoutColumns: number | undefined = 80;
  stderrIsTerminal = false;
  readonly hostname = 'dom0';
  readonly processId = 4711;
  readonly clock = new FakeClock();
  readonly machine = new FakeMachine();
  readonly node = new FakeNode();
  readonly daemon = new FakeDaemon();
  readonly nodeOptions: NodeClientOptions[] = [];
  readonly daemonOptions: AdminClientOptions[] = [];
  #onStop: ((signalName: string) => void) | undefined;

  openNode(options: NodeClientOptions): FakeNode {
    this.nodeOptions.push(options);
    this.node.address = options.address;
    return this.node;
  }

  openDaemon(options: AdminClientOptions): FakeDaemon {
    this.daemonOptions.push(options);
    this.daemon.address = options.address;
    return this.daemon;
  }

  /** The self test's way to an export: a disk in memory, see fake-disk.ts. */
  connectNbd({ exportName }: NbdTarget): Promise<CuttableDevice> {
    return Promise.resolve(new FakeDisk(this.node.content(exportName)));
  }

  onStopSignal(callback: (signalName: string) => void): () => void {
    this.#onStop = callback;
    return () => {
      this.#onStop = undefined;
    };
  }

  get listensForStop(): boolean {
    return this.#onStop !== undefined;
  }

  pressCtrlC(): void {
    this.#onStop?.('SIGINT');
  }

  /** Runs one command line, words separated by blanks. */
  async run(line: string): Promise<Outcome> {
    return await this.runWords(line.split(' ').filter((word) => word !== ''));
  }

  async runWords(words: readonly string[]): Promise<Outcome> {
    const exitCode = await runCommandLine(words, this);
    return {
      exitCode,
      stdout: Buffer.concat(this.stdoutChunks).toString('utf8'),
      stderr: Buffer.concat(this.stderrChunks).toString('utf8'),
    };
  }
}

/** A world whose node has a volume v1 full of old content. */
export function worldWith(sizeBytes: number): FakeSurroundings {
  const world = new FakeSurroundings();
  world.node.add('v1', sizeBytes, 0xee);
  return world;
}

function remembering(chunks: Buffer[]): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, callback) {
      chunks.push(Buffer.from(chunk));
      callback();
    },
  });
}

/** The longest line of a text. */
export function widthOf(text: string): number {
  return Math.max(...text.split('\n').map((line) => line.length));
}
