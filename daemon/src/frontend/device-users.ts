/**
 * Who uses a block device, in words, for the sentence with which a detach is refused: mounts, swap, devices
 * made on top of it, guests, programs that have it open. Found in /proc and /sys. What begins to use it meanwhile
 * is not in it, so an empty list does not prove that nobody does (see KernelDevice.claim).
 */
import fs from 'node:fs';
import path from 'node:path';

/** Enough to know whom to ask. */
const USERS_MAX = 5;

export interface DeviceUsers {
  /** Mounts, swap, devices on top, guests: they stay until somebody ends them. */
  readonly lasting: readonly string[];
  /** Programs that have it open: perhaps only for a look, as udev after each change. */
  readonly programs: readonly string[];
  /** Of a program it could not be seen what it has open. */
  readonly isPartial: boolean;
}

interface OpenFiles {
  readonly programs: readonly string[];
  readonly isPartial: boolean;
}

/** @param root '/' in production */
export function usersOfDevice(index: number, root = '/'): DeviceUsers {
  const name = `nbd${index}`;
  const isDevice = new RegExp(`^/dev/${name}(p[0-9]+)?$`);
  const lasting = [
    ...mounts(root, name),
    ...swaps(root, isDevice),
    ...holders(root, name),
    ...guests(root, name),
  ];
  const { programs, isPartial } = openIn(root, isDevice);
  return { lasting: firstFew(lasting), programs: firstFew(programs), isPartial };
}

function firstFew(users: readonly string[]): string[] {
  return [...new Set(users)].slice(0, USERS_MAX);
}

/** Of the device and its partitions: "major:minor" as mountinfo has them. */
function numbersOf(root: string, name: string): Set<string> {
  const folder = path.join(root, 'sys/block', name);
  const parts = entries(folder).filter((entry) => entry.startsWith(`${name}p`));
  return new Set(
    [folder, ...parts.map((part) => path.join(folder, part))].map((one) =>
      text(path.join(one, 'dev')).trim(),
    ),
  );
}

function mounts(root: string, name: string): string[] {
  const numbers = numbersOf(root, name);
  return text(path.join(root, 'proc/self/mountinfo'))
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , number]) => number !== undefined && numbers.has(number))
    .map(([, , , , where]) => `mounted at ${where ?? '?'}`);
}

function swaps(root: string, isDevice: RegExp): string[] {
  const lines = text(path.join(root, 'proc/swaps')).split('\n').slice(1);
  return lines.some((line) => isDevice.test(line.split(/\s/)[0] ?? '')) ? ['used as swap'] : [];
}

function holders(root: string, name: string): string[] {
  const folder = path.join(root, 'sys/block', name);
  const parts = entries(folder).filter((entry) => entry.startsWith(`${name}p`));
  return ['.', ...parts]
    .flatMap((part) => entries(path.join(folder, part, 'holders')))
    .map((holder) => `part of ${holder}`);
}

/** Xen's block backend opens the device inside the kernel. */
function guests(root: string, name: string): string[] {
  const folder = path.join(root, 'sys/bus/xen-backend/devices');
  const number = text(path.join(root, 'sys/block', name, 'dev')).trim();
  const [major = '', minor = ''] = number.split(':');
  const wanted = `${Number(major).toString(16)}:${Number(minor).toString(16)}`;
  return entries(folder)
    .filter((entry) => text(path.join(folder, entry, 'physical_device')).trim() === wanted)
    .map(
      (entry) => `the disk ${entry.split('-')[2] ?? '?'} of domain ${entry.split('-')[1] ?? '?'}`,
    );
}

function openIn(root: string, isDevice: RegExp): OpenFiles {
  const processes = entries(path.join(root, 'proc')).filter((entry) => /^[0-9]+$/.test(entry));
  const programs: string[] = [];
  let isPartial = false;
  for (const id of processes) {
    try {
      if (!hasOpen(path.join(root, 'proc', id, 'fd'), isDevice)) continue;
    } catch {
      isPartial = true;
      continue;
    }
    programs.push(`open in ${text(path.join(root, 'proc', id, 'comm')).trim()} (process ${id})`);
  }
  return { programs, isPartial };
}

/** @throws Error if it may not be looked at; a program that has ended meanwhile has nothing open */
function hasOpen(folder: string, isDevice: RegExp): boolean {
  try {
    return fs.readdirSync(folder).some((fd) => isDevice.test(target(path.join(folder, fd))));
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ESRCH';
}

function entries(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

function text(file: string): string {
  try {
    return fs.readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

/** @throws Error if it may not be looked at */
function target(link: string): string {
  try {
    return fs.readlinkSync(link);
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}
