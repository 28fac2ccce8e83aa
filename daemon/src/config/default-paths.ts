/** Where things lie unless the configuration says otherwise: the system's places for root, the user's own for others. */
import os from 'node:os';
import path from 'node:path';

const IS_ROOT = process.getuid?.() === 0;
const HOME = os.homedir();

/** tmpfs, emptied at boot: sockets and replay logs. */
export const DEFAULT_RUNTIME_DIRECTORY = IS_ROOT
  ? '/run/blkferry'
  : path.join(
      process.env['XDG_RUNTIME_DIR'] ??
        path.join(os.tmpdir(), `blkferry-${process.getuid?.() ?? 0}`),
      'blkferry',
    );

/** Kept for ever: what is attached. */
export const DEFAULT_STATE_DIRECTORY = IS_ROOT
  ? '/var/lib/blkferry/daemon'
  : path.join(
      process.env['XDG_STATE_HOME'] ?? path.join(HOME, '.local/state'),
      'blkferry',
      'daemon',
    );

/** A node's volumes. */
export const DEFAULT_DATA_DIRECTORY = IS_ROOT
  ? '/var/lib/blkferry/node'
  : path.join(process.env['XDG_DATA_HOME'] ?? path.join(HOME, '.local/share'), 'blkferry', 'node');

export const DEFAULT_ADMIN_SOCKET = path.join(DEFAULT_RUNTIME_DIRECTORY, 'admin.sock');
export const DEFAULT_NBD_SOCKET = path.join(DEFAULT_RUNTIME_DIRECTORY, 'nbd.sock');

export const DEFAULT_DAEMON_CONFIG = '/etc/blkferry/blkferryd.toml';
export const DEFAULT_NODE_CONFIG = '/etc/blkferry/blkferry-node.toml';
