/**
 * The block devices of attachments: makes one at attach, takes over after a restart what the last run left,
 * tells the kernel a new size, ends what nobody claims. When and whether is the stories' to decide
 * (attachments.ts); how the kernel is talked to is the frontend's.
 */
import { StorageError } from '../rpc/storage-error.js';
import type { DaemonConfig } from '../config/daemon-config.js';
import { formatIdentifier, parseIdentifier } from '../frontend/device-identifier.js';
import type { DeviceNodes } from '../frontend/device-node.js';
import { usersOfDevice } from '../frontend/device-users.js';
import { KernelDevice, type KernelDeviceOptions } from '../frontend/kernel-device.js';
import type { NbdKernel } from '../frontend/nbd-kernel.js';
import type { AttachRequestMessage } from '../rpc/admin-messages.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import { noteDevice, type Attachment, type DeviceRecord, type MadeDevice } from './attachment.js';
import type { AttachmentRecord } from './attachment-record.js';
import type { OpenedVolume } from './opened-volume.js';
import { checkDeviceName, deviceShape, type DeviceShape } from './device-shape.js';

export interface DeviceKeeperOptions {
  readonly kernel: NbdKernel;
  readonly nodes: DeviceNodes;
  readonly config: Pick<
    DaemonConfig,
    | 'device.mode'
    | 'device.connections'
    | 'device.dead_connection_timeout'
    | 'device.resend_interval'
  >;
  /** Of the state directory. */
  readonly daemonId: string;
  /** Whether this process may configure devices: CAP_SYS_ADMIN. */
  readonly isPermitted: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Opening a device may read from it; a node that is away does not answer that soon. */
const CLAIM_LIMIT_MS = 5000;

/** Programs that only look at a device, as udev does after each change of it, are gone by then. */
const LOOKERS_WAIT_MS = 3000;
const LOOKERS_PAUSE_MS = 50;

/** What a caller may ask for: a detach holds up whatever else is wanted of its export. */
const USERS_WAIT_MS_MAX = 300_000;

export class DeviceKeeper {
  constructor(readonly options: DeviceKeeperOptions) {}

  /** Why no device can be made, with the remedy; empty if one can. */
  async problem(): Promise<string> {
    const { config, kernel, isPermitted } = this.options;
    if (config['device.mode'] === 'none') {
      return 'the setting device.mode is none; set it to auto or kernel';
    }
    try {
      await kernel.nbdStatus();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return code === 'ENOENT'
        ? 'the kernel module nbd is not loaded; run: modprobe nbd'
        : `the kernel's nbd driver cannot be used: ${message}`;
    }
    if (isPermitted()) return '';
    return 'blkferryd may not make block devices: that needs CAP_SYS_ADMIN; run it as root';
  }

  /**
   * What Attach makes beside the export.
   * @returns the device, or why there is none although one would have been welcome (empty: nobody wants one)
   * @throws StorageError if a device was asked for and cannot be
   */
  async connect(
    record: AttachmentRecord,
    opened: OpenedVolume,
    request: Pick<AttachRequestMessage, 'device' | 'deviceConnections' | 'deviceBlockBytes'>,
  ): Promise<MadeDevice | { problem: string }> {
    const mode = this.options.config['device.mode'];
    if (request.device === 'none') return { problem: '' };
    if (request.device === 'unspecified' && mode === 'none') return { problem: '' };
    const isWish = request.device === 'unspecified' && mode === 'auto';
    try {
      const problem = await this.problem();
      if (problem !== '') throw new StorageError('refused', problem);
      checkDeviceName(record.exportName);
      const shape = deviceShape(record.volume, opened.volume.facts, {
        blockBytes: request.deviceBlockBytes,
        connections: request.deviceConnections || this.options.config['device.connections'],
      });
      const device = await KernelDevice.connect(this.#deviceOptions(record, opened, shape));
      return { device, record: { index: device.index, ...shape } };
    } catch (error) {
      const { message } = error as Error;
      if (isWish) return { problem: message };
      throw new StorageError('refused', `${record.exportName} gets no device: ${message}`, {
        cause: error,
      });
    }
  }

  /**
   * The recorded device takes part as soon as the volume can answer; its size is the volume's. Failures are
   * in the log: the attachment goes on without its device, and the kernel keeps what is asked of it.
   * @param save writes the attachment's record to disk
   */
  async keep(attachment: Attachment, save: () => void): Promise<void> {
    const { record, opened, device } = attachment;
    const { state, facts } = opened.volume;
    if (record.device === undefined) return;
    if (state.name !== 'active' && state.name !== 'fenced') return;
    try {
      if (device === undefined) {
        noteDevice(attachment, await this.#restore(record, record.device, opened));
        save();
      } else if (state.name === 'active') {
        await device.resize(facts.sizeBytes);
      }
    } catch (error) {
      const { exportName } = record;
      const sentence = `the device of ${exportName} cannot be used: ${(error as Error).message}; detach ${exportName} with --force and attach it again`;
      this.options.logger.error({ event: 'device_failed', exportName, error }, sentence);
    }
  }

  /**
   * After a restart of the daemon: the device that shows the attachment, with its requests. After a reboot
   * there is none, and a new one is made.
   */
  async #restore(
    record: AttachmentRecord,
    known: DeviceRecord,
    opened: OpenedVolume,
  ): Promise<MadeDevice> {
    const { nodes, logger } = this.options;
    const options = this.#deviceOptions(record, opened, known);
    const index = this.#indicesOf(options.identifier, known.index)[0];
    const fields = { exportName: record.exportName, volume: record.volume };
    if (index === undefined) {
      const device = await KernelDevice.connect(options);
      logger.info(
        { event: 'device_made', ...fields, device: device.path },
        `${nodes.pathOf(known.index)} of the last run is gone; ${record.exportName} is ${device.path} now`,
      );
      return { device, record: { ...known, index: device.index } };
    }
    const device = await KernelDevice.adopt(options, index);
    logger.info(
      { event: 'device_adopted', ...fields, device: device.path },
      `${device.path} of the last run goes on`,
    );
    return { device, record: { ...known, index } };
  }

  /** Ends devices of this daemon that no record claims: left by an attach that did not come to its end. */
  async endOrphans(records: readonly AttachmentRecord[]): Promise<void> {
    const { nodes, kernel, daemonId, logger } = this.options;
    const known = new Set(records.map(({ attachmentId }) => attachmentId));
    for (const index of nodes.indices()) {
      const identity = parseIdentifier(nodes.identifierOf(index) ?? '');
      if (identity?.daemonId !== daemonId || known.has(identity.attachmentId)) continue;
      const { lasting, programs } = usersOfDevice(index, nodes.root);
      const users = [...lasting, ...programs];
      const sentence = `${nodes.pathOf(index)} is of an attachment that is not recorded (${identity.exportName}); ending it`;
      logger.warn({ event: 'orphan_device_found', device: nodes.pathOf(index), users }, sentence);
      try {
        await kernel.nbdDisconnect(index);
        nodes.removeLink(index, identity.exportName);
      } catch (error) {
        logger.error({ event: 'orphan_device_left', error }, (error as Error).message);
      }
    }
  }

  /**
   * For a detach: nobody uses the device, and nobody begins to until the returned function was called.
   * @param waitMs how long its users have to let go
   * @throws StorageError 'refused' naming the users
   */
  async claim(device: KernelDevice, waitMs = 0): Promise<() => Promise<void>> {
    const { clock, nodes } = this.options;
    if (waitMs > USERS_WAIT_MS_MAX) {
      throw new StorageError('invalid', `a detach waits ${USERS_WAIT_MS_MAX / 1000} s at most`);
    }
    const sinceMs = clock.nowMs();
    for (;;) {
      const { lasting, programs, isPartial } = usersOfDevice(device.index, nodes.root);
      const users = [...lasting, ...programs];
      if (users.length === 0 && isPartial) throw blind(device);
      if (users.length === 0) {
        const giveBack = await this.#tryClaim(device);
        if (giveBack !== undefined) return giveBack;
        users.push('claimed by the kernel for somebody');
      }
      const limitMs = lasting.length > 0 ? waitMs : Math.max(waitMs, LOOKERS_WAIT_MS);
      if (clock.nowMs() - sinceMs >= limitMs) throw inUse(device, users);
      await new Promise<void>((resolve) => {
        clock.setTimer(LOOKERS_PAUSE_MS, resolve);
      });
    }
  }

  async #tryClaim(device: KernelDevice): Promise<(() => Promise<void>) | undefined> {
    try {
      return await device.claim(CLAIM_LIMIT_MS);
    } catch (error) {
      const { message } = error as Error;
      throw new StorageError('unavailable', `${message}; use --force to detach it regardless`);
    }
  }

  /** Those connected with exactly this identifier, the likeliest first. */
  #indicesOf(identifier: string, likeliest: number): number[] {
    const { nodes } = this.options;
    return [likeliest, ...nodes.indices()].filter(
      (index) => nodes.identifierOf(index) === identifier,
    );
  }

  #deviceOptions(
    record: AttachmentRecord,
    { volume, host }: OpenedVolume,
    shape: DeviceShape,
  ): KernelDeviceOptions {
    const { kernel, nodes, clock, config, daemonId, logger } = this.options;
    const { exportName, attachmentId } = record;
    const fields = { exportName, volume: record.volume };
    return {
      kernel,
      nodes,
      clock,
      volume,
      host,
      exportName,
      identifier: formatIdentifier({ daemonId, attachmentId, exportName }),
      connections: shape.connections,
      blockBytes: shape.blockBytes,
      deadConnectionTimeoutMs: config['device.dead_connection_timeout'],
      resendIntervalMs: config['device.resend_interval'],
      events: {
        socketLost: (reason) => {
          const sentence = `a socket to the kernel's device of ${exportName} was lost: ${reason}; making another`;
          logger.warn({ event: 'device_socket_lost', ...fields, reason }, sentence);
        },
        gone: (reason) => {
          const sentence = `the device of ${exportName} is gone: ${reason}; detach ${exportName} and attach it again`;
          logger.error({ event: 'device_lost', ...fields, reason }, sentence);
        },
        requestFailed: (kind, error) => {
          logger.debug(
            { event: 'request_failed', ...fields, kind, errno: error.errno },
            error.reason,
          );
        },
      },
    };
  }
}

function blind(device: KernelDevice): StorageError {
  const name = nameOf(device);
  return new StorageError(
    'refused',
    `who has ${name} open cannot be seen: blkferryd needs CAP_SYS_PTRACE and CAP_DAC_OVERRIDE for that, as its ` +
      `systemd unit gives them; or use --force, which fails the I/O of whoever has it`,
  );
}

function nameOf(device: KernelDevice): string {
  return device.link === '' ? device.path : device.link;
}

function inUse(device: KernelDevice, users: readonly string[]): StorageError {
  return new StorageError(
    'refused',
    `${nameOf(device)} is in use: ${users.join(', ')}; end that first, or use --force, which fails its I/O`,
  );
}
