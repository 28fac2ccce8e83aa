/**
 * What the kernel brings for block devices: its version, the add-on that talks to it, the module nbd and
 * its netlink interface. How much a gap matters is the setting device.mode: none wants no device at all.
 */
import type { Examination } from './examination.js';
import { note, ok, problem, warning, type Check, type Finding } from './finding.js';
import type { Machine } from './machine.js';

/** Devices are made by netlink since Linux 4.12. */
const NETLINK_SINCE = [4, 12] as const;
/** A device names whose it is since Linux 5.14: without that the daemon does not know its own again. */
const BACKEND_SINCE = [5, 14] as const;

const USER: Check = {
  name: 'user',
  run: ({ machine }) =>
    machine.userId === 0
      ? []
      : [note('not root: some of what follows may be hidden from you', 'sudo blkferry doctor')],
};

const KERNEL: Check = {
  name: 'kernel',
  run: (examination) => {
    const { kernelRelease } = examination.machine;
    const version = /^(\d+)\.(\d+)/.exec(kernelRelease)?.slice(1).map(Number) ?? [0, 0];
    if (isBefore(version, NETLINK_SINCE)) {
      const sentence = `Linux ${kernelRelease} cannot make block devices here: that needs 4.12`;
      return [asWanted(examination, sentence, 'use a newer kernel, or NBD clients')];
    }
    if (isBefore(version, BACKEND_SINCE)) {
      const sentence = `Linux ${kernelRelease} does not tell whose a block device is: blkferryd will not know its devices again after a restart`;
      return [asWanted(examination, sentence, 'use Linux 5.14 or newer')];
    }
    return [ok(`Linux ${kernelRelease}`)];
  },
};

const ADDON: Check = {
  name: 'add-on',
  run: ({ machine }) => {
    const reason = machine.addonProblem();
    if (reason === '') return [ok('the native add-on is loaded')];
    return [
      problem(`it cannot be used: ${reason}`, 'npm run build (in the checkout), install again'),
    ];
  },
};

const MODULE: Check = {
  name: 'nbd module',
  run: (examination) => {
    const { machine } = examination;
    if (machine.exists('/sys/module/nbd')) return [ok('loaded')];
    const folder = `/lib/modules/${machine.kernelRelease}`;
    if (!machine.exists(folder)) {
      const sentence = `not loaded, and ${folder} is not there to find it in`;
      return [asWanted(examination, sentence, `install the modules of this kernel; modprobe nbd`)];
    }
    if (hasModule(machine, folder)) {
      const sentence = 'not loaded: volumes get no block devices';
      return [asWanted(examination, sentence, 'modprobe nbd')];
    }
    const sentence = 'this kernel was built without it: volumes get no block devices';
    const fix =
      'another kernel package (Debian: linux-image-amd64 instead of a cloud kernel), or NBD clients';
    return [asWanted(examination, sentence, fix)];
  },
};

const NETLINK: Check = {
  name: 'nbd netlink',
  run: async (examination) => {
    const { machine } = examination;
    if (!machine.exists('/sys/module/nbd') || machine.addonProblem() !== '') return [];
    try {
      const devices = await machine.nbdStatus();
      const connected = devices.filter((device) => device.connected).length;
      return [ok(`answers; ${connected} of ${devices.length} devices connected`)];
    } catch (error) {
      const { message } = error as Error;
      return [
        asWanted(examination, `does not answer: ${message}`, 'modprobe -r nbd; modprobe nbd'),
      ];
    }
  },
};

export const KERNEL_CHECKS: readonly Check[] = [USER, KERNEL, ADDON, MODULE, NETLINK];

/** A gap keeps devices from being made: who does not want any need not care. */
function asWanted({ config }: Examination, sentence: string, fix: string): Finding {
  switch (config?.['device.mode'] ?? 'auto') {
    case 'none':
      return note(`${sentence} (device.mode is none)`);
    case 'auto':
      return warning(sentence, fix);
    case 'kernel':
      return problem(sentence, fix);
  }
}

/** Compressed or not. */
function hasModule(machine: Machine, folder: string): boolean {
  const list = machine.readText(`${folder}/modules.dep`) ?? '';
  return /(^|\/)nbd\.ko(\.\w+)?:/m.test(list);
}

function isBefore(version: readonly number[], since: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = version;
  return major < since[0] || (major === since[0] && minor < since[1]);
}
