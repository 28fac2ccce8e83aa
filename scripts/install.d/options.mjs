/** The command line of the installer. */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { InstallFailure } from './install-failure.mjs';

const USAGE = `usage: scripts/install [options]

Copies the built programs with everything they need below a prefix, and links, units of systemd, rules of
udev and Xen's block script to where these are looked for. Run again, it replaces what it installed before.
Settings in /etc/blkferry are never overwritten.

  --prefix DIR    where the programs go: DIR/bin, DIR/lib/blkferry (default /usr)
  --destdir DIR   put everything below DIR instead of /, to make a package; needs no root
  --node PATH     the Node that runs the programs (default: the one on the PATH)
  --no-systemd    no units and no user for the node
  --no-udev       no rules for udev, and nothing about the kernel module nbd
  --no-xen        no block script for Xen
  --uninstall     remove what was installed with the same --prefix and --destdir; volumes, state and
                  changed settings stay
  --help
`;

/** @throws InstallFailure for wrong usage; prints the usage and ends for --help */
export function readOptions(words) {
  const values = parse(words);
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  const destdir = values.destdir === undefined ? '' : path.resolve(values.destdir);
  if (!path.isAbsolute(values.prefix)) {
    throw new InstallFailure(`--prefix: ${values.prefix} is not an absolute path`, 2);
  }
  return {
    prefix: path.normalize(values.prefix).replace(/(?<=.)\/$/, ''),
    // The machine itself is no destination beside it.
    destdir: destdir === '/' ? '' : destdir,
    node: values.node,
    withSystemd: !values['no-systemd'],
    withUdev: !values['no-udev'],
    withXen: !values['no-xen'],
    uninstall: values.uninstall,
  };
}

function parse(words) {
  const flag = { type: 'boolean', default: false };
  try {
    return parseArgs({
      args: words,
      options: {
        prefix: { type: 'string', default: '/usr' },
        destdir: { type: 'string' },
        node: { type: 'string' },
        'no-systemd': flag,
        'no-udev': flag,
        'no-xen': flag,
        uninstall: flag,
        help: { ...flag, short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new InstallFailure(`${error.message}\n${USAGE}`, 2);
  }
}
