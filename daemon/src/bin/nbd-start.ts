/**
 * The listeners for NBD clients at the daemon's start, and what each address asks of its clients. What is logged of
 * them is nbd-connection-log.ts.
 */
import { REQUEST_BYTES_MAX } from '../block/device-facts.js';
import type { DaemonConfig } from '../config/daemon-config.js';
import { replyBytesOf } from '../config/nbd-settings.js';
import type { ExportTable } from '../frontend/export-table.js';
import { NbdListener, clearStaleSocket } from '../frontend/nbd-listener.js';
import { ReplyBudget } from '../frontend/reply-budget.js';
import { BACKGROUND_CLOCK, SYSTEM_CLOCK } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import type { RepeatedWarnings } from '../runtime/repeated-warnings.js';
import type { TlsMaterial } from '../security/tls-material.js';
import { NbdConnectionLog } from './nbd-connection-log.js';
import { NbdProtection, PLAIN } from './nbd-protection.js';
import { makeFolderOf } from './socket-folder.js';

export interface NbdParts {
  readonly config: DaemonConfig;
  readonly exports: ExportTable;
  readonly logger: Logger;
  readonly refusals: RepeatedWarnings;
  /** Undefined: no certificates. */
  readonly tls: TlsMaterial | undefined;
}

/**
 * Opens them one after the other, the unix socket first.
 *
 * @param listeners gets each as soon as it is open
 * @returns ends the watch of the files that say who may connect, and the log of clients
 * @throws Error with a sentence, RuleFileError, PreSharedKeysError
 */
export async function openNbd(parts: NbdParts, listeners: NbdListener[]): Promise<() => void> {
  const { config, exports, logger, refusals, tls } = parts;
  const socket = config['nbd.socket'];
  makeFolderOf(socket, 'nbd.socket');
  await clearStaleSocket(socket);
  const ports = config['nbd.tcp'];
  const protection = new NbdProtection(config, tls, logger);
  const places = [
    ['nbd.socket', `unix:${socket}`, PLAIN],
    ...ports.map((port) => ['nbd.tcp', port, protection.forTcp] as const),
  ] as const;
  const replyLimits = {
    bytesMax: replyBytesOf(config),
    stalledTimeoutMs: config['nbd.stalled_timeout'],
  };
  const replyBudget = new ReplyBudget(replyLimits, SYSTEM_CLOCK);
  const log = new NbdConnectionLog(logger, refusals, BACKGROUND_CLOCK);
  for (const [setting, address, asked] of places) {
    const listening = NbdListener.listen({
      address,
      exports,
      protection: asked,
      limits: {
        handshakeTimeoutMs: config['nbd.handshake_timeout'],
        idleTimeoutMs: config['nbd.idle_timeout'],
        payloadBytesMax: REQUEST_BYTES_MAX,
        replyBudget,
        connectionsMax: config['nbd.connections_max'],
        connectionsPerPeerMax: config['nbd.connections_per_peer_max'],
        handshakesMax: config['nbd.handshakes_max'],
      },
      clock: SYSTEM_CLOCK,
      eventsFor: (peer) => log.eventsOf(peer),
    });
    listeners.push(await listening.catch((error: unknown) => refuseAddress(setting, error)));
  }
  const endWatch = protection.watch(listeners);
  return () => {
    endWatch();
    log.settle();
  };
}

function refuseAddress(setting: string, cause: unknown): never {
  const { message } = cause as Error;
  throw new Error(
    `NBD clients cannot be served: ${message}; choose another address with ${setting}`,
    {
      cause,
    },
  );
}
