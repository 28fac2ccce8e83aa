/**
 * Listens for NBD clients on a unix or TCP socket and keeps the list of their connections.
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import net from 'node:net';
import { adopted } from '../runtime/adopted-socket.js';
import type { Clock } from '../runtime/clock.js';
import { ConnectionPlaces, type PlaceLimits } from '../runtime/connection-places.js';
import type { ExportTable } from './export-table.js';
import {
  NbdConnection,
  type ClientProtection,
  type ConnectionEvents,
  type ConnectionLimits,
} from './nbd-connection.js';

export interface ListenerOptions {
  /** `unix:/path` or `host:port`; port 0 takes a free one. */
  readonly address: string;
  readonly exports: ExportTable;
  readonly protection: ClientProtection;
  readonly limits: ConnectionLimits & PlaceLimits;
  readonly clock: Clock;
  /** Events of one connection; `peer` names it in the log. */
  readonly eventsFor: (peer: string) => ConnectionEvents;
}

const PLACE_WORDS = { firstAct: 'chosen an export', settingsPrefix: 'nbd.' };

/**
 * After this much silence the kernel asks whether a client's machine is still there, nine times, 75 s apart: one that
 * is gone without a word has left nothing behind twelve minutes later. (Without it: two hours more.)
 */
const KEEP_ALIVE_MS = 60_000;

export class NbdListener {
  readonly #places: ConnectionPlaces<NbdConnection>;
  readonly #server: net.Server;
  #socketPath: string | undefined;
  #hostAndPort = '';
  #accepted = 0;

  private constructor(readonly options: ListenerOptions) {
    this.#places = new ConnectionPlaces(options.limits, PLACE_WORDS);
    const { door } = options.protection;
    // Half-open: a client that closed its writing half still gets its answers.
    const accepting = { allowHalfOpen: true, noDelay: true, pauseOnConnect: door === undefined };
    this.#server = net.createServer(accepting, (socket) => {
      // TLS reads its socket by means of its own.
      this.#accept(door === undefined ? adopted(socket) : socket);
    });
  }

  /** @throws Error with the system's code (EADDRINUSE, EACCES, …) when the address cannot be had */
  static async listen(options: ListenerOptions): Promise<NbdListener> {
    const listener = new NbdListener(options);
    await listener.#listen(options.address);
    return listener;
  }

  get connectionCount(): number {
    return this.#places.count;
  }

  /** `unix:/path` or `host:port`, with the port that was really taken. */
  get address(): string {
    return this.#socketPath === undefined ? this.#hostAndPort : `unix:${this.#socketPath}`;
  }

  /** As the NBD URI specification writes it. */
  uri(exportName: string): string {
    const name = encodeURIComponent(exportName);
    const scheme = this.options.protection.door === undefined ? 'nbd' : 'nbds';
    return this.#socketPath === undefined
      ? `${scheme}://${this.#hostAndPort}/${name}`
      : `nbd+unix:///${name}?socket=${encodeURI(this.#socketPath)}`;
  }

  /** There are new rules. @returns how many clients had more than they give, and are gone */
  endUnallowed(): number {
    return this.#places.holders().filter((connection) => connection.endUnallowed()).length;
  }

  /** Takes no new client, lets those there have the answers they wait for, and ends. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
    await Promise.all(this.#places.holders().map((connection) => connection.stop()));
    for (const connection of this.#places.holders()) connection.destroy();
    this.options.protection.door?.close();
    await closed;
  }

  async #listen(address: string): Promise<void> {
    const target = parseAddress(address);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(target, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    if (target.path !== undefined) {
      this.#socketPath = target.path;
      // Guests' disks: for the owner alone, whatever the umask.
      chmodSync(target.path, 0o600);
      return;
    }
    const bound = this.#server.address() as net.AddressInfo;
    this.#hostAndPort = `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`;
  }

  #accept(socket: net.Socket): void {
    this.#accepted += 1;
    const peer = socket.remoteAddress ?? `unix#${this.#accepted}`;
    const events = this.options.eventsFor(peer);
    const refusal = this.#places.refusal(socket.remoteAddress);
    if (refusal !== undefined) {
      events.protocolError(refusal);
      socket.destroy();
      return;
    }
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.resume();
    const connection = new NbdConnection(
      socket,
      this.options.exports,
      this.options.protection,
      this.options.limits,
      this.options.clock,
      {
        ...events,
        opened: (...facts) => {
          this.#places.identified(connection);
          events.opened(...facts);
        },
        closed: () => {
          this.#places.give(connection);
          events.closed();
        },
      },
    );
    this.#places.take(connection, socket.remoteAddress);
  }
}

function parseAddress(address: string): { path?: string; host?: string; port?: number } {
  if (address.startsWith('unix:')) return { path: address.slice('unix:'.length) };
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  return { host, port: Number(address.slice(colon + 1)) };
}

/**
 * Removes a unix socket that nobody listens on any more.
 * @throws Error if somebody does, or if what is there is no socket: it may be somebody's file
 */
export async function clearStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new Error(`${path} is there and is no socket; move it away, or choose another socket`);
  const alive = await new Promise<boolean>((resolve) => {
    const probe = net.connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => {
      resolve(false);
    });
  });
  if (alive)
    throw new Error(`another program listens on ${path}; stop it, or choose another socket`);
  unlinkSync(path);
}
