/** The Node that runs the installed programs, named by its full path: services and Xen have a PATH of their own. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { InstallFailure } from './install-failure.mjs';

/** The line that starts a script is cut off by kernels before 5.1 beyond this length. */
const FIRST_LINE_BYTES_MAX = 127;

/** Folders that the services do not see (ProtectHome=, PrivateTmp=). */
const HIDDEN_FOLDERS = ['/home', '/root', '/run/user', '/tmp', '/var/tmp'];

/**
 * @param wanted the option --node, or undefined
 * @returns its path and, where services cannot use it, a sentence
 * @throws InstallFailure if it is too old or cannot be started
 */
export function findNode(wanted, root) {
  const node = wanted === undefined ? onPath() : path.resolve(wanted);
  const { status, stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  const version = /^v(\d+)\.(\d+)\.(\d+)/.exec(stdout ?? '');
  if (status !== 0 || version === null) {
    throw new InstallFailure(`${node} is not a Node that runs here; name another with --node`);
  }
  const least = leastVersion(root);
  if (isOlder(version.slice(1).map(Number), least)) {
    throw new InstallFailure(
      `${node} is ${version[0]} and blkferry needs Node ${least.join('.')} or newer; name another with --node`,
    );
  }
  const longest = `#!${node} --initial-old-space-size=128`;
  if (Buffer.byteLength(longest) > FIRST_LINE_BYTES_MAX) {
    throw new InstallFailure(`the path ${node} is too long; name a shorter one with --node`);
  }
  const real = realpathSync(node);
  const hidden = HIDDEN_FOLDERS.some((folder) => real.startsWith(`${folder}/`));
  const warning = `${real} is where services of systemd cannot see it; install Node elsewhere and name it with --node`;
  return { node, warning: hidden ? warning : undefined };
}

/** As it is found on the PATH, so that it stays valid when a link points to the next version; else as it is. */
function onPath() {
  for (const folder of (process.env.PATH ?? '').split(':')) {
    const candidate = path.join(folder, 'node');
    try {
      accessSync(candidate, constants.X_OK);
      if (path.isAbsolute(candidate) && realpathSync(candidate) === realpathSync(process.execPath))
        return candidate;
    } catch {
      // Not in this folder.
    }
  }
  return process.execPath;
}

function leastVersion(root) {
  const { engines } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const [, major, minor, patch = '0'] = /^>=(\d+)\.(\d+)(?:\.(\d+))?$/.exec(engines.node);
  return [major, minor, patch].map(Number);
}

function isOlder(version, least) {
  const index = version.findIndex((part, position) => part !== least[position]);
  return index !== -1 && version[index] < least[index];
}
