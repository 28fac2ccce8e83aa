/**
 * The sockets of one kernel device: made in pairs, one end for the kernel and one for a session of ours. One
 * that is lost is replaced for as long as the device serves.
 */
import fs from 'node:fs';
import type { BlockError } from '../block/block-error.js';
import type { PacedBlockDevice } from '../block/block-device.js';
import type { Clock } from '../runtime/clock.js';
import {
  KernelSocket,
  type KernelSocketEvents,
  type ServedSocket,
  type SocketEnd,
} from './kernel-socket.js';
import type { NbdKernel } from './nbd-kernel.js';
import type { SessionHost } from './session-host.js';

export interface DeviceSocketsOptions {
  readonly kernel: Pick<NbdKernel, 'socketPair'>;
  readonly clock: Clock;
  readonly volume: PacedBlockDevice;
  /** Where the sessions are; undefined: in this thread. */
  readonly host: SessionHost | undefined;
  /** How many there should be. */
  readonly count: number;
  /** Whether the kernel's device is still there, and ours. */
  readonly isConnected: () => boolean;
  /** Gives the kernel a new socket in place of a dead one; it ignores what it has no use for. */
  readonly offer: (kernelEnds: readonly number[]) => Promise<void>;
  readonly events: DeviceSocketsEvents;
}

export interface DeviceSocketsEvents {
  /** A socket was lost; another is being made. */
  readonly socketLost: (reason: string) => void;
  /** The kernel has no such device any more: somebody disconnected it. */
  readonly gone: (how: 'disconnected' | 'vanished') => void;
  readonly requestFailed: (kind: string, error: BlockError) => void;
}

/** Pauses between tries to replace a socket. The kernel needs a moment to notice that the old one is dead. */
const REPLACE_PAUSE_MIN_MS = 20;
const REPLACE_PAUSE_MAX_MS = 5000;

export class DeviceSockets {
  readonly #sockets = new Set<ServedSocket>();
  #keeps = false;
  #pauseMs = REPLACE_PAUSE_MIN_MS;
  #cancelReplace: (() => void) | undefined;

  constructor(readonly options: DeviceSocketsOptions) {}

  get size(): number {
    return this.#sockets.size;
  }

  /**
   * The first ones.
   * @param hand gives the kernel its ends; if it throws, no socket is left
   */
  async open(hand: (kernelEnds: readonly number[]) => Promise<void>): Promise<void> {
    try {
      await this.#make(this.options.count, hand);
    } catch (error) {
      await this.drop();
      throw error;
    }
    this.#keeps = true;
    if (this.size < this.options.count) this.#replaceLater();
  }

  /** Takes in nothing more, answers what is in flight, then closes. Until then nothing is replaced. */
  async stop(): Promise<void> {
    this.#endReplacing();
    await Promise.all([...this.#sockets].map((socket) => socket.stop()));
  }

  /** Closes all at once; the kernel asks again on whatever socket comes next. Resolves when they are closed. */
  async drop(): Promise<void> {
    this.#endReplacing();
    const sockets = [...this.#sockets];
    this.#sockets.clear();
    await Promise.all(sockets.map((socket) => socket.destroy()));
  }

  async #make(
    count: number,
    hand: (kernelEnds: readonly number[]) => Promise<void>,
  ): Promise<void> {
    const kernelEnds: number[] = [];
    try {
      while (kernelEnds.length < count) {
        const [kernelEnd, daemonEnd] = this.options.kernel.socketPair();
        kernelEnds.push(kernelEnd);
        this.#serve(daemonEnd);
      }
      await hand(kernelEnds);
    } finally {
      // The kernel has references of its own. What it did not take ends with this, and our end notices.
      for (const fd of kernelEnds) fs.closeSync(fd);
    }
  }

  #serve(fd: number): void {
    const { host, volume, events } = this.options;
    const socketEvents: KernelSocketEvents = {
      closed: (how, reason) => {
        this.#onClosed(socket, how, reason);
      },
      requestFailed: (kind, error) => {
        events.requestFailed(kind, error);
      },
    };
    const socket: ServedSocket =
      host?.serveKernel(fd, socketEvents) ?? new KernelSocket(fd, volume, socketEvents);
    this.#sockets.add(socket);
  }

  #onClosed(socket: ServedSocket, how: SocketEnd, reason: string): void {
    if (!this.#sockets.delete(socket) || !this.#keeps) return;
    if (how === 'disconnected') {
      void this.drop();
      this.options.events.gone('disconnected');
    } else if (this.#cancelReplace === undefined) {
      this.options.events.socketLost(reason);
      this.#replaceLater();
    }
  }

  #replaceLater(): void {
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(pauseMs * 2, REPLACE_PAUSE_MAX_MS);
    this.#cancelReplace = this.options.clock.setTimer(pauseMs, () => {
      void this.#replace();
    });
  }

  async #replace(): Promise<void> {
    const { isConnected, offer, count, events } = this.options;
    if (!isConnected()) {
      void this.drop();
      events.gone('vanished');
      return;
    }
    const before = this.size;
    try {
      await this.#make(1, offer);
    } catch (error) {
      events.socketLost(`no new socket: ${(error as Error).message}`);
    }
    // What the kernel did not take has ended by the next turn of the event loop that serves it.
    await (this.options.host?.settled() ?? new Promise(setImmediate));
    this.#cancelReplace = undefined;
    if (!this.#keeps) {
      void this.drop();
      return;
    }
    if (this.size > before) this.#pauseMs = REPLACE_PAUSE_MIN_MS;
    if (this.size < count) this.#replaceLater();
  }

  #endReplacing(): void {
    this.#keeps = false;
    this.#cancelReplace?.();
    this.#cancelReplace = undefined;
  }
}
