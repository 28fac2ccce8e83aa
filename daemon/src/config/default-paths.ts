/** Where things lie unless the configuration says otherwise: the system's places for root, the user's own for others. */
import os from 'node:os';
import path from 'node:path';

const UID = process.getuid?.() ?? 0;
const IS_ROOT = UID === 0;

/** A folder as the XDG base directory specification has it: one that is not absolute does not count. */
function userFolder(variable: string, fallback: string): string {
  const named = process.env[variable];
  return named !== undefined && path.isAbsolute(named)
    ? path.join(named, 'blkferry')
    : path.resolve(os.homedir(), fallback);
}

/** tmpfs, emptied at boot: sockets and replay logs. */
export const DEFAULT_RUNTIME_DIRECTORY = IS_ROOT
  ? '/run/blkferry'
  : userFolder('XDG_RUNTIME_DIR', path.join(os.tmpdir(), `blkferry-${UID}`));

/** Kept for ever: what is attached. */
export const DEFAULT_STATE_DIRECTORY = path.join(
  IS_ROOT ? '/var/lib/blkferry' : userFolder('XDG_STATE_HOME', '.local/state/blkferry'),
  'daemon',
);

/** A node's volumes. */
export const DEFAULT_DATA_DIRECTORY = path.join(
  IS_ROOT ? '/var/lib/blkferry' : userFolder('XDG_DATA_HOME', '.local/share/blkferry'),
  'node',
);

export const DEFAULT_ADMIN_SOCKET = path.join(DEFAULT_RUNTIME_DIRECTORY, 'admin.sock');
export const DEFAULT_NBD_SOCKET = path.join(DEFAULT_RUNTIME_DIRECTORY, 'nbd.sock');

export const DEFAULT_DAEMON_CONFIG = '/etc/blkferry/blkferryd.toml';
export const DEFAULT_NODE_CONFIG = '/etc/blkferry/blkferry-node.toml';
