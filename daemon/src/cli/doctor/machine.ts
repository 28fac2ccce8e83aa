/** This machine as the checks see it, handed in so that tests can be another one. */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import * as addon from 'blkferry-kernel';
import type { NbdDeviceStatus } from 'blkferry-kernel';
import { TlsMaterial, type TlsFiles } from '../../security/tls-material.js';

export interface Machine {
  readonly userId: number;
  /** As uname -r has it. */
  readonly kernelRelease: string;
  exists(path: string): boolean;
  isExecutable(path: string): boolean;
  /** Undefined if it is not there or may not be read. */
  readText(path: string): string | undefined;
  /** Names in a folder; none if there is no such folder. */
  list(folder: string): string[];
  /** Of the file system below a path; undefined if the path is not there. */
  fileSystem(path: string): FileSystem | undefined;
  /** What a program prints, or undefined if it could not be run or failed. */
  run(program: string, words: readonly string[]): Promise<string | undefined>;
  /** Milliseconds since 1970. */
  wallClockMs(): number;
  /** Why these files cannot be used, or undefined. */
  tlsProblem(files: TlsFiles): string | undefined;
  /** Why the native add-on cannot be used; empty if it can. */
  addonProblem(): string;
  /** @throws Error with `code` as the add-on describes it */
  nbdStatus(): Promise<NbdDeviceStatus[]>;
}

export interface FileSystem {
  /** The magic number of statfs(2). */
  readonly type: number;
  readonly freeBytes: number;
}

/** systemctl answers in milliseconds; a machine that hangs must not take the doctor with it. */
const PROGRAM_TIMEOUT_MS = 5000;

export const THIS_MACHINE: Machine = {
  userId: process.getuid?.() ?? 0,
  kernelRelease: os.release(),
  exists: (path) => fs.existsSync(path),
  isExecutable: (path) => attempt(() => (fs.statSync(path).mode & 0o100) !== 0) ?? false,
  readText: (path) => attempt(() => fs.readFileSync(path, 'utf8')),
  list: (folder) => attempt(() => fs.readdirSync(folder)) ?? [],
  fileSystem: (path) =>
    attempt(() => {
      const { type, bavail, bsize } = fs.statfsSync(path);
      return { type, freeBytes: bavail * bsize };
    }),
  run: (program, words) =>
    new Promise((resolve) => {
      execFile(program, words, { timeout: PROGRAM_TIMEOUT_MS }, (error, stdout) => {
        resolve(error === null ? stdout : undefined);
      });
    }),
  wallClockMs: () => Date.now(),
  tlsProblem: (files) => {
    try {
      TlsMaterial.load(files, Date.now());
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  },
  addonProblem: () => {
    try {
      // An older build has fewer functions.
      if (typeof addon.sendDatagram !== 'function') return 'it was built from an older version';
      addon.isIoFlusher();
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  },
  nbdStatus: () => addon.nbdStatus(),
};

/** @returns undefined if it throws */
function attempt<Value>(work: () => Value): Value | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
