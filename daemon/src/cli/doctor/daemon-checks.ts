/** The daemon of this machine: its settings, whether it answers, what it has attached, where its replay logs lie. */
import { formatBytes, formatDuration } from '../../config/quantity.js';
import type { AttachmentMessage } from '../../rpc/admin-messages.js';
import { VERSION } from '../../runtime/version.js';
import { needsAttention } from '../attachment-words.js';
import type { Examination } from './examination.js';
import { note, ok, problem, warning, type Check, type Finding } from './finding.js';

/** statfs(2): file systems in memory. */
const MEMORY_FILE_SYSTEMS: readonly number[] = [0x0102_1994, 0x8584_58f6];

const SETTINGS: Check = {
  name: 'settings',
  run: ({ configFile, configProblems, machine }) => {
    const fix = `correct ${configFile}; blkferryd --print-config shows what is allowed`;
    if (configProblems.length > 0) return configProblems.map((one) => problem(one, fix));
    return [ok(machine.exists(configFile) ? `${configFile} is valid` : 'the defaults')];
  },
};

const DAEMON: Check = {
  name: 'daemon',
  run: ({ report, services, machine }) => {
    const { daemon, error = '' } = report;
    if (daemon === undefined) {
      if (services?.node.active === 'active' && services.daemon.active === 'inactive') {
        return [note(`none runs here: this machine keeps volumes (${error})`)];
      }
      const isHidden = /permission denied/.test(error) && machine.userId !== 0;
      if (isHidden) return [problem(error, 'run it as root: sudo blkferry doctor')];
      const fix = services === undefined ? 'start blkferryd' : 'systemctl start blkferryd';
      return [problem(error, `${fix}; where it listens is the setting admin.socket`)];
    }
    const same = daemon.version === VERSION;
    const sentence = `blkferryd ${daemon.version} answers at ${report.address}`;
    if (same) return [ok(sentence)];
    const fix = 'systemctl restart blkferryd; guests see a pause';
    return [warning(`${sentence}, and this command is ${VERSION}`, fix)];
  },
};

const DEVICES: Check = {
  name: 'block devices',
  run: ({ report: { daemon }, config }) => {
    if (daemon === undefined) return [];
    const { deviceProblem } = daemon;
    if (deviceProblem === '') return [ok('blkferryd can make them')];
    const mode = config?.['device.mode'];
    if (mode === 'none') return [note(deviceProblem)];
    const fix = 'see above; NBD clients need none of it';
    return [mode === 'kernel' ? problem(deviceProblem, fix) : warning(deviceProblem, fix)];
  },
};

const RUNTIME_DIRECTORY: Check = {
  name: 'replay logs',
  run: ({ config, machine, report }) => {
    if (config === undefined) return [];
    const { runtime_directory: folder, replay_bytes_max: bytesMax } = config;
    const found = machine.fileSystem(folder);
    if (found === undefined) {
      return report.daemon === undefined
        ? []
        : [note(`${folder} is not there: blkferryd was started with another runtime_directory`)];
    }
    const findings: Finding[] = [];
    if (!MEMORY_FILE_SYSTEMS.includes(found.type)) {
      findings.push(
        warning(
          `${folder} is not on tmpfs: every write goes to that disk too, and logs of guests that ended with the last boot come back`,
          'set runtime_directory to a folder on tmpfs, such as /run/blkferry',
        ),
      );
    }
    const neededBytes = report.attachments.filter((one) => !one.readOnly).length * bytesMax;
    if (found.freeBytes < neededBytes) {
      findings.push(
        warning(
          `${folder} has ${formatBytes(found.freeBytes)} free, and the attachments may log ${formatBytes(neededBytes)}`,
          'mount -o remount,size=... for its file system, or a smaller replay_bytes_max',
        ),
      );
    }
    return findings.length > 0
      ? findings
      : [ok(`${folder} is in memory, ${formatBytes(found.freeBytes)} free`)];
  },
};

const ATTACHMENTS: Check = {
  name: 'attachments',
  run: (examination) => {
    const { attachments, daemon } = examination.report;
    if (daemon === undefined) return [];
    const findings = attachments.flatMap((one) => ofAttachment(one, examination));
    const active = attachments.filter(({ state }) => state === 'active').length;
    if (attachments.length === 0) return [ok('none')];
    return active === 0 ? findings : [ok(`${active} active`), ...findings];
  },
};

export const DAEMON_CHECKS: readonly Check[] = [
  SETTINGS,
  DAEMON,
  DEVICES,
  RUNTIME_DIRECTORY,
  ATTACHMENTS,
];

function ofAttachment(attachment: AttachmentMessage, examination: Examination): Finding[] {
  return [...ofState(attachment, examination), ...ofDevice(attachment)];
}

function ofState(attachment: AttachmentMessage, { config }: Examination): Finding[] {
  const { exportName, state, detail, node } = attachment;
  const sentence = `${exportName} is ${state}${detail === '' ? '' : `: ${detail}`}`;
  switch (state) {
    case 'active':
      return [];
    case 'holding': {
      const limitMs = config?.io_hold_timeout ?? Infinity;
      const end = Number.isFinite(limitMs) ? `, and fail after ${formatDuration(limitMs)}` : '';
      return [warning(sentence, `bring node ${node} back; requests wait for it${end}`)];
    }
    case 'failing':
      return [problem(sentence, `bring node ${node} back; until then requests fail with EIO`)];
    case 'fenced': {
      const fix = `another writer has ${attachment.volume}; here: blkferry detach --force ${exportName}`;
      return [problem(sentence, fix)];
    }
    case 'connecting':
      return [warning(sentence, `look whether node ${node} is running and can be reached`)];
    case 'draining':
      return [note(sentence)];
    case 'unspecified':
      return [note(`${exportName} is in a state that this version does not know`)];
  }
}

function ofDevice({ exportName, device, state }: AttachmentMessage): Finding[] {
  if (device === undefined || needsAttention(state)) return [];
  const findings: Finding[] = [];
  if (device.liveConnections < device.connections) {
    findings.push(
      warning(
        `${device.path} of ${exportName} has ${device.liveConnections} of ${device.connections} sockets to blkferryd; the kernel keeps what it asks meanwhile`,
        'wait a few seconds; if it stays so: journalctl -u blkferryd',
      ),
    );
  }
  if (device.link === '') {
    findings.push(
      warning(
        `${device.path} of ${exportName} has no name in /dev/blkferry; its number changes from boot to boot`,
        'look whether /dev/blkferry can be made, and for the udev rules',
      ),
    );
  }
  return findings;
}
