/** Xen, where it runs: whether guests can be given what blkferryd attaches. */
import { readFileSync } from 'node:fs';
import { PROGRAM_ROOT } from '../../runtime/program-root.js';
import type { Examination } from './examination.js';
import { note, ok, problem, warning, type Check } from './finding.js';
import type { Machine } from './machine.js';

const BLOCK_SCRIPT = '/etc/xen/scripts/block-blkferry';

/** The one that belongs to this version. */
const OWN_BLOCK_SCRIPT = new URL('scripts/xen/block-blkferry', PROGRAM_ROOT);

const XEN: Check = {
  name: 'xen',
  run: ({ machine }) => {
    if (isDom0(machine)) return [ok(`this is Dom0 of Xen ${versionOf(machine)}`)];
    if (!isXen(machine))
      return [note('Xen does not run here; volumes are for this machine itself')];
    return machine.exists('/proc/xen/capabilities')
      ? [note('this is a guest of Xen, not Dom0; volumes are for this machine itself')]
      : [
          warning(
            'Xen runs, but /proc/xen does not say whether this is Dom0',
            'mount -t xenfs xenfs /proc/xen',
          ),
        ];
  },
};

const BLKBACK: Check = {
  name: 'xen-blkback',
  run: ({ machine }) => {
    if (!isDom0(machine)) return [];
    if (machine.exists('/sys/module/xen_blkback')) return [ok('loaded')];
    const fix = 'modprobe xen-blkback';
    return [problem('not loaded: no guest gets a disk from a block device', fix)];
  },
};

const SCRIPT: Check = {
  name: 'block script',
  run: ({ machine }) => {
    if (!isDom0(machine)) return [];
    const text = machine.readText(BLOCK_SCRIPT);
    const fix = 'scripts/install (in the checkout of this version)';
    if (text === undefined) {
      const sentence = `${BLOCK_SCRIPT} is not there: script=block-blkferry does not work in xl.cfg; phy:/dev/blkferry/NAME does`;
      return [warning(sentence, fix)];
    }
    if (!machine.isExecutable(BLOCK_SCRIPT)) {
      return [problem(`${BLOCK_SCRIPT} cannot be executed`, `chmod 755 ${BLOCK_SCRIPT}`)];
    }
    const own = ownBlockScript();
    if (own !== undefined && withoutFolder(own) !== withoutFolder(text)) {
      return [warning(`${BLOCK_SCRIPT} is of another version, or was changed`, fix)];
    }
    return [ok(`${BLOCK_SCRIPT} is installed`)];
  },
};

export const XEN_CHECKS: readonly Check[] = [XEN, BLKBACK, SCRIPT];

export function isDom0(machine: Examination['machine']): boolean {
  return machine.readText('/proc/xen/capabilities')?.includes('control_d') ?? false;
}

function isXen(machine: Machine): boolean {
  return machine.readText('/sys/hypervisor/type')?.trim() === 'xen';
}

function versionOf(machine: Machine): string {
  const part = (name: string): string =>
    machine.readText(`/sys/hypervisor/version/${name}`)?.trim() ?? '?';
  return `${part('major')}.${part('minor')}`;
}

function ownBlockScript(): string | undefined {
  try {
    return readFileSync(OWN_BLOCK_SCRIPT, 'utf8');
  } catch {
    return undefined;
  }
}

/** An installation writes where its command is into the script. */
function withoutFolder(script: string): string {
  return script.replace(/(?<![\w.])\/[\w./-]*\/bin\/blkferry\b/g, 'blkferry');
}
