/**
 * What the daemon logs of its NBD clients. Whoever can connect can cause records as often as it likes, so those that
 * need no right to an export are limited for each client (runtime/log-allowance.ts).
 */
import net from 'node:net';
import type { ConnectionEvents } from '../frontend/nbd-connection.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import { RepeatedWarnings } from '../runtime/repeated-warnings.js';

export class NbdConnectionLog {
  /** Those who only look did nothing wrong: they are no warnings, and no status counts them. */
  readonly #visits: RepeatedWarnings;

  constructor(
    readonly logger: Pick<Logger, 'info' | 'debug'>,
    readonly refusals: RepeatedWarnings,
    clock: Clock,
  ) {
    const warn = (fields: object, sentence: string): void => {
      logger.info(fields, sentence);
    };
    this.#visits = new RepeatedWarnings({ warn }, clock);
  }

  /** For the end of the program: tells what was left out until then. */
  settle(): void {
    this.refusals.settle();
    this.#visits.settle();
  }

  /** @param peer its address; on the unix socket a name of the connection */
  eventsOf(peer: string): ConnectionEvents {
    const { logger, refusals } = this;
    // Whoever can open the unix socket is the same to us, however often it comes.
    const machine = net.isIP(peer) === 0 ? 'local' : peer;
    return {
      opened: (exportName, names) => {
        const known = names.length === 0 ? '' : ` (${names.join(', ')})`;
        logger.info(
          { event: 'client_connected', peer, exportName, names },
          `client ${peer}${known} uses ${exportName}`,
        );
      },
      refused: (exportName, names, reason) => {
        const client = names.length === 0 ? machine : names.join(' ');
        refusals.warn(
          `${peer} ${exportName} ${reason}`,
          { event: 'export_refused', client, peer, exportName, names, reason },
          `client ${peer} (${names.join(', ')}) was refused export ${exportName}: ${reason}`,
        );
      },
      handshakeEnded: (reason) => {
        this.#visits.warn(
          reason,
          { event: 'handshake_ended', client: machine, peer, reason },
          `client ${peer} chose no export: ${reason}`,
        );
      },
      protocolError: (reason) => {
        refusals.warn(
          reason,
          { event: 'client_failed', client: machine, peer, reason },
          `client ${peer}: ${reason}`,
        );
      },
      requestFailed: (exportName, kind, error) => {
        logger.debug(
          { event: 'request_failed', peer, exportName, kind, errno: error.errno },
          error.reason,
        );
      },
      closed: () => {
        logger.debug({ event: 'client_disconnected', peer }, `client ${peer} is gone`);
      },
    };
  }
}
