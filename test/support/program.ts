/**
 * Other programs in a test: run one to its end, or start one and stop it by its handle. A program that
 * is not installed is a reason to skip, and the reason says which package brings it.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import type { Readable } from 'node:stream';

/** Where everything is slow, as in the lab, every limit is that many times as long. */
export const PATIENCE = Number(process.env['BLKFERRY_TEST_PATIENCE'] ?? '1');

/** A program of these tests ends within seconds; one that hangs must not take the suite with it. */
const RUN_TIMEOUT_MS = 60_000 * PATIENCE;

/** Time for a server to say that it is ready: a Node program on a busy machine needs a second or two. */
const READY_TIMEOUT_MS = 20_000 * PATIENCE;

/** Time for an ordered end after SIGTERM, before SIGKILL. */
const STOP_TIMEOUT_MS = 25_000 * PATIENCE;

/** Most of a program's output that is kept for messages. */
const OUTPUT_CHARACTERS_MAX = 1024 * 1024;

/** Daemons and administrators' programs are not on every user's path. */
const PROGRAM_FOLDERS = [
  ...(process.env['PATH'] ?? '').split(':'),
  '/usr/sbin',
  '/sbin',
  '/usr/local/sbin',
];

/** Which Debian package brings a program, where it is not called the same. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  nbdinfo: 'libnbd-bin',
  nbdcopy: 'libnbd-bin',
  'qemu-io': 'qemu-utils',
  'qemu-img': 'qemu-utils',
  'qemu-nbd': 'qemu-utils',
  'mkfs.ext4': 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  fusermount3: 'fuse3',
};

/** @returns the full path of a program, or undefined if it is not installed */
export function findProgram(name: string): string | undefined {
  return PROGRAM_FOLDERS.map((folder) => path.join(folder, name)).find(isExecutable);
}

/** @returns for the `skip` of a test: false if all are there, else a sentence */
export function missingPrograms(...names: readonly string[]): string | false {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return false;
  const packages = [...new Set(missing.map((name) => PACKAGE_OF[name] ?? name))];
  return `${missing.join(' and ')} not installed (Debian: apt-get install ${packages.join(' ')})`;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface Finished {
  /** Exit status; 128 + n after signal n is not told apart: `signal` says it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly timeoutMs?: number;
  /** Given to the program on its standard input. */
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Runs a program to its end, whatever its exit status. */
export async function runProgram(
  name: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const { timeoutMs = RUN_TIMEOUT_MS, input = '', environment = {} } = options;
  const child = spawn(findProgram(name) ?? name, args, {
    env: { ...process.env, LC_ALL: 'C', ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  killWithUs(child);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  // A program that does not read its input may be gone before it is written.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  const [status, signal] = await ended(child).finally(() => {
    clearTimeout(timer);
  });
  const command = [name, ...args].join(' ');
  assert(!expired, `${command}\nwas still running after ${timeoutMs} ms\n${stdout()}${stderr()}`);
  return { status, signal, stdout: stdout(), stderr: stderr() };
}

/** Runs a program that must succeed. @returns what it wrote to standard output */
export async function runSuccessfully(
  name: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { status, signal, stdout, stderr } = await runProgram(name, args, options);
  const end = signal ?? `exit status ${status}`;
  assert.equal(status, 0, `${[name, ...args].join(' ')}\n${end}\n${stdout}${stderr}`);
  return stdout;
}

export interface StartOptions extends RunOptions {
  /** The line on standard output that says the program is ready; undefined: it is ready at once. */
  readonly readyLine?: RegExp;
  /** Not ended by Ctrl-C at a terminal: for those who stop it themselves then. */
  readonly ownGroup?: boolean;
  /** As another user, which only root can do; absent: as this one. */
  readonly userId?: number;
}

/** A program that runs until it is stopped. */
export class RunningProgram {
  readonly #ended: Promise<[number | null, NodeJS.Signals | null]>;

  private constructor(
    readonly name: string,
    readonly child: ChildProcess,
    readonly stderr: () => string,
  ) {
    this.#ended = ended(child);
    // Looked at by those who wait for it; a failed start is told by `start`.
    this.#ended.catch(() => {});
  }

  /** @throws Error with the program's messages if it ends, or is silent, before it is ready */
  static async start(
    name: string,
    args: readonly string[],
    options: StartOptions = {},
  ): Promise<{ program: RunningProgram; readyLine: string }> {
    const { readyLine, timeoutMs = READY_TIMEOUT_MS, environment = {}, ownGroup = false } = options;
    const { userId } = options;
    const child = spawn(findProgram(name) ?? name, args, {
      env: { ...process.env, LC_ALL: 'C', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: ownGroup,
      ...(userId === undefined ? {} : { uid: userId, gid: userId }),
    });
    killWithUs(child);
    const stderr = collect(child.stderr);
    const program = new RunningProgram([name, ...args].join(' '), child, stderr);
    if (readyLine === undefined) return { program, readyLine: '' };
    try {
      return { program, readyLine: await program.#line(readyLine, timeoutMs) };
    } catch (error) {
      await program.kill();
      throw new Error(`${program.name}\n${(error as Error).message}\n${stderr()}`, {
        cause: error,
      });
    }
  }

  get pid(): number {
    return this.child.pid!;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Resident memory now, in bytes, as the kernel counts it. */
  get residentBytes(): number {
    return memoryOf(this.pid, 'VmRSS');
  }

  /** Most resident memory so far, in bytes. */
  get peakResidentBytes(): number {
    return memoryOf(this.pid, 'VmHWM');
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Asks it to end and waits. @returns the exit status, or null if it had to be killed */
  async stop(): Promise<number | null> {
    // A program that was stopped with SIGSTOP hears nothing else.
    this.child.kill('SIGCONT');
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    const [status] = await this.#ended;
    clearTimeout(timer);
    return status;
  }

  /** Waits until it ends by itself. @returns the exit status, or null after a signal */
  async ended(): Promise<number | null> {
    return (await this.#ended)[0];
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#ended.catch(() => {});
  }

  async #line(pattern: RegExp, timeoutMs: number): Promise<string> {
    const lines = readline.createInterface({ input: this.child.stdout! });
    let timer: NodeJS.Timeout | undefined;
    const found = new Promise<string>((resolve, reject) => {
      lines.on('line', (line) => {
        if (pattern.test(line)) resolve(line);
      });
      timer = setTimeout(() => {
        reject(new Error(`no line ${String(pattern)} within ${timeoutMs} ms`));
      }, timeoutMs);
    });
    const endedEarly = this.#ended.then(([status]) => {
      throw new Error(`ended with status ${status} before it was ready`);
    });
    return Promise.race([found, endedEarly]).finally(() => {
      clearTimeout(timer);
    });
  }
}

function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      resolve([status, signal]);
    });
  });
}

/** The output so far; the pipe is always emptied, so that the program never waits for us. */
function collect(stream: Readable): () => string {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('data', (piece: string) => {
    if (text.length < OUTPUT_CHARACTERS_MAX) text += piece;
  });
  return () => text;
}

/** A test process that dies early takes its programs with it. */
function killWithUs(child: ChildProcess): void {
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', kill);
  child.once('close', () => {
    process.off('exit', kill);
  });
}

function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kibibytes = new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1];
  assert(kibibytes !== undefined, `no ${field} in /proc/${pid}/status`);
  return Number(kibibytes) * 1024;
}
