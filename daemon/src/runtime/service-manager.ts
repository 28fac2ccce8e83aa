/**
 * The program as a service of systemd, by the datagrams of sd_notify(3): ready, what it does now, alive,
 * stopping. Nothing happens without NOTIFY_SOCKET, that is, without systemd. How a stop goes is shutdown.ts.
 *
 * The sign of life comes from the event loop itself: a loop that hangs gives none, and systemd ends the
 * process and starts it anew, which loses nothing that was answered.
 */
import { sendDatagram } from 'blkferry-kernel';
import { SYSTEM_CLOCK, type Clock } from './clock.js';
import type { Logger } from './logger.js';

/** sd_notify(3) counts in microseconds. */
const MICROSECONDS_PER_MS = 1000;

/** A person who looks at `systemctl status` twice sees a change; the datagram costs microseconds. */
const STATUS_INTERVAL_MS = 10_000;

/** Signs of life for one time limit of the watchdog: one may come late. */
const BEATS_PER_LIMIT = 2;

export interface ServiceManagerOptions {
  /** NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked at. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly processId: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** One datagram to a unix socket; "@" at the beginning means an abstract one. Throws if it cannot be sent. */
  readonly send: (socketPath: string, message: string) => void;
}

export class ServiceManager {
  readonly #socketPath: string | undefined;
  readonly #beatIntervalMs: number;
  readonly #isWatched: boolean;
  /** What must be told and was not yet: a lost READY=1 would be the end of the service. */
  #owed: string[] = [];
  #phase: 'starting' | 'ready' | 'stopping' = 'starting';
  #status = '';
  /** Whether the status is known there. */
  #isStatusTold = true;
  #isDeaf = false;

  constructor(readonly options: ServiceManagerOptions) {
    const { environment, processId } = options;
    this.#socketPath = socketOf(environment);
    const limitMs = watchdogLimitMs(environment, processId);
    this.#isWatched = limitMs !== undefined;
    this.#beatIntervalMs = Math.min(
      (limitMs ?? Number.MAX_SAFE_INTEGER) / BEATS_PER_LIMIT,
      STATUS_INTERVAL_MS,
    );
  }

  /** Not ready yet. @param status one line for people */
  starting(status: string): void {
    if (this.#phase !== 'starting') return;
    this.#setStatus(status);
    this.#tell();
  }

  /**
   * Clients can connect now. From here on signs of life are given until the process ends.
   * @param describe one line for people: what the program does; asked again and again
   * @param isAlive whether all of it works, of which this thread is a part; without it no sign of life is given
   */
  ready(describe: () => string, isAlive = (): boolean => true): void {
    if (this.#socketPath === undefined || this.#phase !== 'starting') return;
    this.#phase = 'ready';
    this.#owed.push('READY=1');
    this.#beat(describe, isAlive);
  }

  /** @param limitMs most time that the stop takes: the unit's own limit may be shorter */
  stopping(limitMs: number): void {
    if (this.#socketPath === undefined) return;
    this.#phase = 'stopping';
    const limitMicroseconds = Math.round(limitMs * MICROSECONDS_PER_MS);
    this.#owed.push('STOPPING=1', `EXTEND_TIMEOUT_USEC=${limitMicroseconds}`);
    this.#setStatus('stopping: answering and flushing what is in hand');
    this.#tell();
  }

  #beat(describe: () => string, isAlive: () => boolean): void {
    this.options.clock.setTimer(this.#beatIntervalMs, () => {
      this.#beat(describe, isAlive);
    });
    if (this.#phase === 'ready') this.#setStatus(describe());
    const isWell = this.#phase !== 'ready' || isAlive();
    this.#tell(this.#isWatched && isWell ? 'WATCHDOG=1' : undefined);
  }

  #setStatus(status: string): void {
    if (status === this.#status) return;
    this.#status = status;
    this.#isStatusTold = false;
  }

  /** A manager that does not listen is no reason to end: the guests' disks do not depend on it. */
  #tell(signOfLife?: string): void {
    const lines = [...this.#owed];
    if (signOfLife !== undefined) lines.push(signOfLife);
    if (!this.#isStatusTold) lines.push(`STATUS=${this.#status.replaceAll('\n', ' ')}`);
    if (this.#socketPath === undefined || lines.length === 0) return;
    try {
      this.options.send(this.#socketPath, lines.join('\n'));
      this.#owed = [];
      this.#isStatusTold = true;
      this.#isDeaf = false;
    } catch (error) {
      // What was not told goes out with the next sign of life.
      if (this.#isDeaf) return;
      this.#isDeaf = true;
      const sentence = `the service manager cannot be told: ${(error as Error).message}`;
      this.options.logger.warn({ event: 'service_manager_lost', error }, sentence);
    }
  }
}

/** Of this process. */
export function serviceManager(logger: Logger): ServiceManager {
  return new ServiceManager({
    environment: process.env,
    processId: process.pid,
    clock: SYSTEM_CLOCK,
    logger,
    send: sendDatagram,
  });
}

/** A file or an abstract name. Managers outside of a virtual machine (vsock) are not told. */
function socketOf(environment: ServiceManagerOptions['environment']): string | undefined {
  const address = environment['NOTIFY_SOCKET'] ?? '';
  return /^[/@]./.test(address) ? address : undefined;
}

/** sd_watchdog_enabled(3). @returns undefined if nobody watches this process */
function watchdogLimitMs(
  environment: ServiceManagerOptions['environment'],
  processId: number,
): number | undefined {
  const { WATCHDOG_USEC: limit = '', WATCHDOG_PID: watched = '' } = environment;
  if (!/^[1-9][0-9]{0,14}$/.test(limit)) return undefined;
  if (watched !== '' && watched !== String(processId)) return undefined;
  return Number(limit) / MICROSECONDS_PER_MS;
}
