/**
 * A volume as a block device of this machine's kernel: /dev/nbdN, played by this process over socket
 * pairs. The device outlives the process: while no socket is there the kernel keeps its requests, and the
 * next daemon adopts the device with new sockets.
 *
 * The kernel may wait for this process while it handles a call, so none of its calls runs on the main
 * thread, and before a device is ended against its users its sockets are closed.
 */
import fs from 'node:fs';
import { NBD_FLAG } from 'nbd-server-helpers';
import type { BlockError } from '../block/block-error.js';
import type { PacedBlockDevice } from '../block/block-device.js';
import type { DeviceFacts } from '../block/device-facts.js';
import type { Clock } from '../runtime/clock.js';
import type { DeviceNodes, DeviceNumbers } from './device-node.js';
import { DeviceSockets } from './device-sockets.js';
import { NBD_CFLAG_DESTROY_ON_DISCONNECT, type NbdKernel } from './nbd-kernel.js';
import type { SessionHost } from './session-host.js';

export interface KernelDeviceOptions {
  readonly kernel: NbdKernel;
  readonly nodes: DeviceNodes;
  readonly clock: Clock;
  readonly volume: PacedBlockDevice;
  /** Where its sessions are; absent: in this thread. */
  readonly host?: SessionHost | undefined;
  readonly exportName: string;
  /** Whose the device is; see device-identifier.ts. */
  readonly identifier: string;
  /** Sockets, and with them hardware queues. */
  readonly connections: number;
  /** Logical block size: 512 to 4096, not below the volume's own. */
  readonly blockBytes: number;
  /** How long the kernel keeps requests while no daemon serves them; EIO afterwards. */
  readonly deadConnectionTimeoutMs: number;
  /** How soon after a lost socket its requests come again; see `device.resend_interval`. */
  readonly resendIntervalMs: number;
  readonly events: KernelDeviceEvents;
}

export interface KernelDeviceEvents {
  /** A socket was lost; another is being made. */
  readonly socketLost: (reason: string) => void;
  /** The kernel has no such device any more, and it was not this process that ended it. */
  readonly gone: (reason: string) => void;
  readonly requestFailed: (kind: string, error: BlockError) => void;
}

/** The kernel makes size and node of a device within milliseconds, also a busy one within this. */
const READY_LIMIT_MS = 10_000;

/** Ending a device waits for the kernel's own threads only, as its sockets are closed by then. */
const GONE_LIMIT_MS = 10_000;

export class KernelDevice {
  readonly #sockets: DeviceSockets;
  #index = -1;
  #link = '';
  #numbers: DeviceNumbers = { major: 0, minor: 0 };
  #sizeBytes: number;
  #state: 'serving' | 'stopped' | 'gone' = 'serving';
  #resizing: Promise<void> | undefined;

  private constructor(readonly options: KernelDeviceOptions) {
    const { kernel, nodes, clock, volume, connections, identifier, events } = options;
    this.#sizeBytes = volume.facts.sizeBytes;
    this.#sockets = new DeviceSockets({
      kernel,
      clock,
      volume,
      host: options.host,
      count: connections,
      isConnected: () => nodes.identifierOf(this.#index) === identifier,
      offer: (socketFds) =>
        kernel.nbdReconfigure({ index: this.#index, backendIdentifier: identifier, socketFds }),
      events: {
        socketLost: events.socketLost,
        requestFailed: events.requestFailed,
        gone: (how) => {
          this.#lose(
            `${this.path} ${how === 'vanished' ? 'is not connected any more' : 'was disconnected by another program'}`,
          );
        },
      },
    });
  }

  /** Makes a device. @throws Error with a sentence; nothing is left then */
  static async connect(options: KernelDeviceOptions): Promise<KernelDevice> {
    const device = new KernelDevice(options);
    const { kernel, blockBytes, deadConnectionTimeoutMs } = options;
    await device.#sockets.open(async (socketFds) => {
      device.#index = await kernel.nbdConnect({
        sizeBytes: device.#sizeBytes,
        blockBytes,
        serverFlags: toServerFlags(options.volume.facts),
        clientFlags: NBD_CFLAG_DESTROY_ON_DISCONNECT,
        // The kernel never ends a slow connection: how long I/O may wait is the volume's to decide.
        requestTimeoutSeconds: 0,
        deadConnectionTimeoutSeconds: Math.ceil(deadConnectionTimeoutMs / 1000),
        backendIdentifier: options.identifier,
        socketFds,
      });
    });
    try {
      if (options.nodes.identifierOf(device.#index) !== options.identifier) {
        throw new Error("this kernel does not keep a device's identifier: Linux 5.14 is needed");
      }
      await device.#settle();
    } catch (error) {
      device.#state = 'gone';
      await device.#sockets.drop();
      await kernel.nbdDisconnect(device.#index);
      throw error;
    }
    return device;
  }

  /**
   * Takes over a device that an earlier run of the daemon left.
   * @throws Error with a sentence if it is another's, or the kernel refuses
   */
  static async adopt(options: KernelDeviceOptions, index: number): Promise<KernelDevice> {
    const device = new KernelDevice(options);
    const { kernel, nodes, identifier } = options;
    const found = nodes.identifierOf(index);
    if (found !== identifier) {
      throw new Error(`${nodes.pathOf(index)} is not ours: it belongs to ${found ?? 'nobody'}`);
    }
    device.#index = index;
    const isKnown = device.#sizeBytes > 0;
    await device.#sockets.open((socketFds) =>
      kernel.nbdReconfigure({
        index,
        backendIdentifier: identifier,
        socketFds,
        deadConnectionTimeoutSeconds: Math.ceil(options.deadConnectionTimeoutMs / 1000),
        ...(isKnown ? { sizeBytes: device.#sizeBytes } : {}),
      }),
    );
    if (!isKnown) device.#sizeBytes = nodes.sizeBytesOf(index) ?? 0;
    await device.#settle();
    return device;
  }

  get index(): number {
    return this.#index;
  }

  /** /dev/nbdN */
  get path(): string {
    return this.options.nodes.pathOf(this.#index);
  }

  /** /dev/blkferry/<export name>, or empty. */
  get link(): string {
    return this.#link;
  }

  get numbers(): DeviceNumbers {
    return this.#numbers;
  }

  get liveConnections(): number {
    return this.#sockets.size;
  }

  get isGone(): boolean {
    return this.#state === 'gone';
  }

  /**
   * Tells the kernel the volume's size, if it has changed. Resolves when the device shows it. The kernel waits
   * for every request in flight meanwhile, and nothing but answers ends that wait: not for a volume that does
   * not answer.
   */
  async resize(sizeBytes: number): Promise<void> {
    if (sizeBytes === this.#sizeBytes || this.#state !== 'serving') return;
    this.#resizing = this.#tellSize(sizeBytes);
    try {
      await this.#resizing;
    } finally {
      this.#resizing = undefined;
    }
  }

  async #tellSize(sizeBytes: number): Promise<void> {
    const { kernel, nodes, identifier } = this.options;
    await kernel.nbdReconfigure({ index: this.#index, backendIdentifier: identifier, sizeBytes });
    this.#sizeBytes = sizeBytes;
    await nodes.untilReady(this.#index, sizeBytes, READY_LIMIT_MS);
  }

  /**
   * Claims the device for this process alone, so that nobody mounts it or gives it to a guest meanwhile.
   * @returns gives it back; undefined if somebody else has claimed it
   */
  async claim(limitMs: number): Promise<(() => Promise<void>) | undefined> {
    // Not with openSync: opening may read the partition table, and that is answered by this thread.
    const opening = fs.promises.open(this.path, fs.constants.O_RDONLY | fs.constants.O_EXCL);
    const expired = new Promise<'expired'>((resolve) => {
      const cancel = this.options.clock.setTimer(limitMs, () => {
        resolve('expired');
      });
      void opening.finally(cancel).catch(() => undefined);
    });
    try {
      const handle = await Promise.race([opening, expired]);
      if (handle !== 'expired') return () => handle.close();
      void opening.then((late) => late.close()).catch(() => undefined);
      throw new Error(`${this.path} cannot be read now`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EBUSY') return undefined;
      throw error;
    }
  }

  /**
   * Ordered stop of the daemon: takes in nothing more and answers what is in flight. The device stays, its
   * requests wait for the next daemon.
   * @param abandoned once it resolves, what is still unanswered is left to the next daemon too
   */
  async stopServing(abandoned: Promise<void>): Promise<void> {
    if (this.#state === 'serving') this.#state = 'stopped';
    // Without answers the kernel would never come out of it.
    await Promise.race([this.#resizing?.catch(() => undefined), abandoned]);
    await Promise.race([this.#sockets.stop(), abandoned]);
    await this.#sockets.drop();
  }

  /**
   * Ends the device; what its users still ask fails with EIO. Resolves when the kernel has let go of it, or,
   * where somebody has it open still, after a while: then it goes when that one closes it.
   * @param giveBack of a claim, which also has it open
   */
  async disconnect(giveBack?: () => Promise<void>): Promise<void> {
    const { kernel, nodes, identifier, exportName } = this.options;
    // The kernel would otherwise wait for room in a socket that this process has stopped to read.
    const dropped = this.#sockets.drop();
    if (this.#state === 'gone' || nodes.identifierOf(this.#index) !== identifier) return dropped;
    this.#state = 'gone';
    nodes.removeLink(this.#index, exportName);
    await dropped;
    await kernel.nbdDisconnect(this.#index);
    await giveBack?.();
    await nodes.untilGone(this.#index, identifier, GONE_LIMIT_MS);
  }

  async #settle(): Promise<void> {
    const { nodes, exportName, resendIntervalMs } = this.options;
    nodes.setRequestTimer(this.#index, resendIntervalMs);
    nodes.announce(this.#index);
    this.#numbers = await nodes.untilReady(this.#index, this.#sizeBytes, READY_LIMIT_MS);
    this.#link = await nodes.ensureLink(this.#index, exportName);
  }

  #lose(reason: string): void {
    this.#state = 'gone';
    this.options.nodes.removeLink(this.#index, this.options.exportName);
    this.options.events.gone(reason);
  }
}

/** Write-zeroes is announced to kernels that know it and ignored by others; flush and FUA always. */
function toServerFlags({ capabilities }: DeviceFacts): number {
  const flags =
    NBD_FLAG.HAS_FLAGS | NBD_FLAG.SEND_FLUSH | NBD_FLAG.SEND_FUA | NBD_FLAG.CAN_MULTI_CONN;
  if (!capabilities.canWrite) return flags | NBD_FLAG.READ_ONLY;
  return flags | NBD_FLAG.SEND_TRIM | NBD_FLAG.SEND_WRITE_ZEROES;
}
