/** Who gets to a socket: its folder, and the group that it may be shared with. */
import fs from 'node:fs';
import path from 'node:path';
import type { Logger } from '../runtime/logger.js';

/**
 * Makes the folder of a socket if it is not there; only its owner may look inside then, and the group.
 *
 * @param groupId undefined: no group
 * @throws Error that names the setting
 */
export function makeFolderOf(socket: string, setting: string, groupId?: number): void {
  const folder = path.dirname(socket);
  try {
    const made = fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (made === undefined || groupId === undefined) return;
    fs.chownSync(folder, -1, groupId);
    fs.chmodSync(folder, 0o710);
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(`${message}; choose another place with ${setting}`, { cause });
  }
}

/** @param name "" for none @returns its number @throws Error when this machine has no such group */
export function groupNamed(name: string): number | undefined {
  if (name === '') return undefined;
  if (/^\d+$/.test(name)) return Number(name);
  const lines = fs.readFileSync('/etc/group', 'utf8').split('\n');
  const found = lines.map((line) => line.split(':')).find(([first]) => first === name);
  if (found?.[2] === undefined) {
    throw new Error(
      `admin.socket_group: there is no group ${name} in /etc/group; make it, or give its number`,
    );
  }
  return Number(found[2]);
}

/** Gives a socket to a group, and says if its members cannot reach it. @throws Error that names the setting */
export function shareSocket(socket: string, groupId: number, logger: Logger): void {
  try {
    fs.chownSync(socket, -1, groupId);
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(`admin.socket_group: ${message}; the daemon must be root or in that group`, {
      cause,
    });
  }
  const { mode, gid } = fs.statSync(path.dirname(socket));
  const isOpen = (mode & 0o001) !== 0 || (gid === groupId && (mode & 0o010) !== 0);
  if (isOpen) return;
  logger.warn(
    { event: 'socket_not_reachable', socket, groupId },
    `the group of admin.socket_group cannot enter ${path.dirname(socket)}; choose an admin.socket in a folder of its own`,
  );
}
