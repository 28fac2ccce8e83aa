/** What stands beside the programs: the services of systemd, the rules of udev, and file systems on volumes. */
import { ok, note, problem, warning, type Check, type Finding } from './finding.js';
import type { Machine } from './machine.js';
import type { ServiceState } from './service-state.js';

const RULE_FOLDERS = ['/etc', '/run', '/usr/local/lib', '/usr/lib', '/lib'].map(
  (folder) => `${folder}/udev/rules.d`,
);

const UDEV: Check = {
  name: 'udev',
  run: ({ machine, config }) => {
    if (config?.['device.mode'] === 'none') return [];
    if (!machine.exists('/run/udev/control')) {
      return [note('does not run here: blkferryd makes the names in /dev/blkferry itself')];
    }
    const folder = rulesFolder(machine);
    if (folder !== undefined) return [ok(`the rules are in ${folder}`)];
    return [
      warning(
        'the rules are not installed: partitions get no names in /dev/blkferry, and other programs look into the disks of guests',
        'scripts/install, then: udevadm control --reload',
      ),
    ];
  },
};

const SYSTEMD: Check = {
  name: 'systemd',
  run: ({ services }) => {
    if (services === undefined) {
      return [note('does not run here: nothing starts blkferryd again when it ends')];
    }
    const { daemon, node } = services;
    return [...ofService('blkferryd', daemon), ...ofService('blkferry-node', node)];
  },
};

/**
 * A file system without _netdev counts as local: at shutdown it is unmounted after the services have ended,
 * and waits for a disk that nobody plays any more.
 */
const FSTAB: Check = {
  name: 'fstab',
  run: ({ machine }) =>
    (machine.readText('/etc/fstab') ?? '')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([device = '', , , options = '']) => isOnVolume(device) && !isOfNetwork(options))
      .map(([device = '', place = '']) =>
        warning(
          `${device} on ${place} is mounted before blkferryd and unmounted after it`,
          `add _netdev,nofail to its options in /etc/fstab; systemctl daemon-reload`,
        ),
      ),
};

export const SERVICE_CHECKS: readonly Check[] = [UDEV, SYSTEMD, FSTAB];

function isOnVolume(device: string): boolean {
  return /^\/dev\/(blkferry\/|nbd\d)/.test(device);
}

function isOfNetwork(options: string): boolean {
  return options.split(',').includes('_netdev');
}

function rulesFolder(machine: Machine): string | undefined {
  return RULE_FOLDERS.find((folder) =>
    machine.list(folder).some((name) => /blkferry.*\.rules$/.test(name)),
  );
}

function ofService(name: string, service: ServiceState): Finding[] {
  const { load, active, unitFile, restarts } = service;
  if (load !== 'loaded') {
    if (load === 'not-found')
      return [note(`${name} is not installed as a service`, 'scripts/install')];
    return [problem(`${name}.service is ${load}`, `systemctl status ${name}`)];
  }
  const findings: Finding[] = [];
  const look = `journalctl -u ${name} -n 30`;
  if (active === 'active') findings.push(ok(`${name} is active, ${unitFile}`));
  else if (active !== 'inactive') findings.push(problem(`${name} is ${active}`, look));
  else if (unitFile === 'enabled') {
    findings.push(problem(`${name} is enabled and not active`, `systemctl start ${name}`));
  }
  if (active === 'active' && !unitFile.startsWith('enabled')) {
    findings.push(warning(`${name} does not start at boot`, `systemctl enable ${name}`));
  }
  if (restarts > 0) {
    const times = restarts === 1 ? 'once' : `${restarts} times`;
    findings.push(warning(`${name} ended unexpectedly and was started again ${times}`, look));
  }
  if (service.needsReload) {
    const sentence = `${name}.service was changed since systemd read it`;
    findings.push(warning(sentence, `systemctl daemon-reload; systemctl restart ${name}`));
  }
  return findings;
}
