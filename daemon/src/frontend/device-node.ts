/**
 * What the machine shows of a block device: its attributes in /sys/block, its node in /dev, and the link
 * that people use. Only files are looked at and nothing is opened: opening a device may read from it, and
 * that would be from ourselves.
 */
import fs from 'node:fs';
import path from 'node:path';
import type { Clock } from '../runtime/clock.js';

/** How often a file is looked at that cannot be watched; the kernel makes these within milliseconds. */
const LOOK_INTERVAL_MS = 5;

/** After this much time udev is not going to make a link: it has no rule, or much else to do. */
const LINK_WAIT_MS = 3000;

export interface DeviceNumbers {
  readonly major: number;
  readonly minor: number;
}

export class DeviceNodes {
  /** @param root '/' in production; sys, dev and run are looked for below it */
  constructor(
    readonly clock: Clock,
    readonly root = '/',
  ) {}

  pathOf(index: number): string {
    return path.join(this.root, 'dev', `nbd${index}`);
  }

  linkOf(exportName: string): string {
    return path.join(this.root, 'dev/blkferry', exportName);
  }

  /** Indices of all NBD devices that exist, connected or not. */
  indices(): number[] {
    const names = readFolder(path.join(this.root, 'sys/block'));
    return names.flatMap((name) => {
      const match = /^nbd([0-9]+)$/.exec(name);
      return match === null ? [] : Number(match[1]);
    });
  }

  /** What the device was connected with, or undefined where that is unknown or nobody is connected. */
  identifierOf(index: number): string | undefined {
    return this.#attribute(index, 'backend');
  }

  sizeBytesOf(index: number): number | undefined {
    const sectors = this.#attribute(index, 'size');
    return sectors === undefined ? undefined : Number(sectors) * 512;
  }

  numbersOf(index: number): DeviceNumbers | undefined {
    const match = /^([0-9]+):([0-9]+)$/.exec(this.#attribute(index, 'dev') ?? '');
    return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
  }

  /**
   * How long a request may go unanswered before the kernel looks whether its socket was replaced. Not written
   * if it is so already, and never by this thread: the kernel empties the queue for it, and this thread
   * answers what is in the queue.
   */
  setRequestTimer(index: number, timeoutMs: number): void {
    if (this.#attribute(index, 'queue/io_timeout') === String(timeoutMs)) return;
    const file = this.#attributePath(index, 'queue/io_timeout');
    // A kernel without the setting keeps its own, 30 s.
    fs.promises.writeFile(file, `${timeoutMs}\n`).catch(() => undefined);
  }

  /**
   * Tells udev to look again: kernels announce a device a moment before its identifier can be read.
   */
  announce(index: number): void {
    try {
      fs.writeFileSync(this.#attributePath(index, 'uevent'), 'change\n');
    } catch {
      // Then there is no udev that could listen either.
    }
  }

  /**
   * Until the device has its size and its node.
   * @throws Error naming what is missing after `limitMs`
   */
  async untilReady(index: number, sizeBytes: number, limitMs: number): Promise<DeviceNumbers> {
    const node = this.pathOf(index);
    let missing = '';
    const numbers = await this.#look(limitMs, () => {
      const found = this.numbersOf(index);
      if (found === undefined) missing = `${node} is not in /sys/block`;
      else if (this.sizeBytesOf(index) !== sizeBytes) missing = `${node} does not have its size`;
      else if (!fs.existsSync(node)) missing = `${node} is not in /dev: is devtmpfs mounted?`;
      else return found;
      return undefined;
    });
    if (numbers !== undefined) return numbers;
    throw new Error(`${missing} after ${limitMs} ms`);
  }

  /** Until nobody is connected to the device any more. @returns whether that came about within `limitMs` */
  async untilGone(index: number, identifier: string, limitMs: number): Promise<boolean> {
    const gone = await this.#look(limitMs, () =>
      this.identifierOf(index) === identifier ? undefined : true,
    );
    return gone === true;
  }

  /**
   * The link people use. udev makes it where our rules are installed; else it is made here.
   * @returns its path; empty if it could not be made
   */
  async ensureLink(index: number, exportName: string): Promise<string> {
    const link = this.linkOf(exportName);
    const hasLink = (): boolean => this.#pointsTo(link, index);
    if (fs.existsSync(path.join(this.root, 'run/udev/control'))) {
      // While events wait, one may be the end of a device of the same name, which takes the link away.
      const waiting = path.join(this.root, 'run/udev/queue');
      const isSettled = (): boolean => !fs.existsSync(waiting) && hasLink();
      await this.#look(LINK_WAIT_MS, () => (isSettled() ? true : undefined));
    }
    if (hasLink()) return link;
    try {
      fs.mkdirSync(path.dirname(link), { recursive: true, mode: 0o755 });
      fs.rmSync(link, { force: true });
      fs.symlinkSync(`../nbd${index}`, link);
      return link;
    } catch {
      return '';
    }
  }

  /** Only if it still points to that device: by now the name may be another's. */
  removeLink(index: number, exportName: string): void {
    const link = this.linkOf(exportName);
    if (!this.#pointsTo(link, index)) return;
    fs.rmSync(link, { force: true });
  }

  #pointsTo(link: string, index: number): boolean {
    try {
      return path.basename(fs.readlinkSync(link)) === `nbd${index}`;
    } catch {
      return false;
    }
  }

  #attributePath(index: number, name: string): string {
    return path.join(this.root, 'sys/block', `nbd${index}`, name);
  }

  #attribute(index: number, name: string): string | undefined {
    try {
      return fs.readFileSync(this.#attributePath(index, name), 'latin1').trim();
    } catch {
      return undefined;
    }
  }

  async #look<Value>(limitMs: number, look: () => Value | undefined): Promise<Value | undefined> {
    const untilMs = this.clock.nowMs() + limitMs;
    for (;;) {
      const found = look();
      if (found !== undefined || this.clock.nowMs() >= untilMs) return found;
      await new Promise<void>((resolve) => {
        this.clock.setTimer(LOOK_INTERVAL_MS, resolve);
      });
    }
  }
}

function readFolder(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}
