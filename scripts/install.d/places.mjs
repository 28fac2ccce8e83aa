/**
 * Where things go. Below /usr and /usr/local systemd, udev and modprobe look by themselves; for any other
 * prefix their files go to /etc.
 */
import path from 'node:path';

const SYSTEM_PREFIXES = ['/usr', '/usr/local'];

/** All paths as the installed system will see them, without destdir. */
export function placesFor(prefix) {
  const below = (...parts) => path.join(prefix, ...parts);
  const isSystem = SYSTEM_PREFIXES.includes(prefix);
  const system = (name) => (isSystem ? below('lib', name) : path.join('/etc', name));
  return {
    bin: below('bin'),
    program: below('lib/blkferry'),
    documents: below('share/doc/blkferry'),
    units: system('systemd/system'),
    users: system('sysusers.d'),
    udevRules: system('udev/rules.d'),
    modprobe: system('modprobe.d'),
    modulesLoad: system('modules-load.d'),
    settings: '/etc/blkferry',
    xenScripts: '/etc/xen/scripts',
    completions: {
      bash: below('share/bash-completion/completions/blkferry'),
      // Debian's zsh looks into vendor-completions below /usr, every zsh into site-functions.
      zsh: below('share/zsh/site-functions/_blkferry'),
      fish: below('share/fish/vendor_completions.d/blkferry.fish'),
    },
  };
}
