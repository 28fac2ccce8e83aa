/** On what the numbers were measured. */
import { execFileSync } from 'node:child_process';
import os from 'node:os';

const VERSIONS = {
  nbdkit: ['nbdkit', '--version'],
  'qemu-nbd': ['qemu-nbd', '--version'],
  fio: ['fio', '--version'],
  nbdcopy: ['nbdcopy', '--version'],
};

/** @returns how many processes wanted a processor in the last minute, those of the bench among them */
export function loadAverage() {
  return os.loadavg()[0];
}

export function describeMachine() {
  return {
    date: new Date().toISOString(),
    cpu: os.cpus()[0]?.model ?? 'unknown processor',
    cores: os.cpus().length,
    memoryBytes: os.totalmem(),
    kernel: os.release(),
    node: process.versions.node,
    loadAverageBefore: loadAverage(),
    versions: Object.fromEntries(
      Object.entries(VERSIONS).map(([name, command]) => [name, versionOf(command)]),
    ),
  };
}

function versionOf([program, option]) {
  try {
    return execFileSync(program, [option], { encoding: 'utf8' }).split('\n')[0];
  } catch {
    return 'not installed';
  }
}
