/** What this machine has to be told when files of systemd and udev came or went. Nothing is started or enabled. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

export const SERVICES = ['blkferryd.service', 'blkferry-node.service'];

/** @returns sentences about what could not be done */
export function announceInstallation(places, options) {
  const problems = [];
  if (options.withSystemd) {
    const users = path.join(places.users, 'blkferry.conf');
    if (!succeeds('systemd-sysusers', [users])) {
      problems.push(
        'the user blkferry-node could not be made; as root: useradd --system --home-dir /var/lib/blkferry/node --shell /usr/sbin/nologin blkferry-node',
      );
    }
    reloadSystemd();
  }
  if (options.withUdev && existsSync('/run/udev/control'))
    succeeds('udevadm', ['control', '--reload']);
  return problems;
}

/** @returns the services that run */
export function runningServices() {
  if (!existsSync('/run/systemd/system')) return [];
  return SERVICES.filter((unit) => succeeds('systemctl', ['is-active', '--quiet', unit]));
}

/** Before their units go, so that nothing points to them. */
export function disableServices() {
  if (!existsSync('/run/systemd/system')) return;
  for (const unit of SERVICES) succeeds('systemctl', ['disable', '--quiet', unit]);
}

export function reloadSystemd() {
  if (existsSync('/run/systemd/system')) succeeds('systemctl', ['daemon-reload']);
}

function succeeds(program, words) {
  return spawnSync(program, words, { stdio: 'ignore' }).status === 0;
}
