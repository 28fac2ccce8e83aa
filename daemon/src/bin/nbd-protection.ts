/**
 * What NBD clients over TCP must show and what they get for it (`nbd.access_file`, `nbd.psk_file`), from the daemon's
 * start to its end: read or refused, then watched.
 */
import type { DaemonConfig } from '../config/daemon-config.js';
import { ExportRules } from '../config/export-rules.js';
import { nbdUsesTls } from '../config/nbd-settings.js';
import type { ClientProtection } from '../frontend/nbd-connection.js';
import type { NbdListener } from '../frontend/nbd-listener.js';
import { TlsDoor } from '../frontend/tls-door.js';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import { watchFiles } from '../runtime/watched-files.js';
import { PreSharedKeys } from '../security/pre-shared-keys.js';
import type { TlsMaterial } from '../security/tls-material.js';

/** For the unix socket, which is its owner's alone. */
export const PLAIN: ClientProtection = { door: undefined, access: undefined };

export class NbdProtection {
  readonly forTcp: ClientProtection;
  #rules: ExportRules | undefined;
  #keys: PreSharedKeys | undefined;

  /** @param tls undefined: no certificates. @throws RuleFileError, PreSharedKeysError */
  constructor(
    readonly config: DaemonConfig,
    tls: TlsMaterial | undefined,
    readonly logger: Logger,
  ) {
    if (config['nbd.tcp'].length === 0 || !nbdUsesTls(config)) {
      this.forTcp = PLAIN;
      return;
    }
    const rules = ExportRules.fromFile(config['nbd.access_file']);
    this.#rules = rules;
    const keyFile = config['nbd.psk_file'];
    if (keyFile !== '') this.#keys = PreSharedKeys.fromFile(keyFile);
    this.forTcp = {
      door: new TlsDoor({
        material: tls,
        preSharedKeys:
          this.#keys === undefined ? undefined : { keyOf: (name) => this.#keys?.keyOf(name) },
        handshakeTimeoutMs: config['nbd.handshake_timeout'],
      }),
      access: { decide: (names, exportName) => (this.#rules ?? rules).decide(names, exportName) },
    };
  }

  /**
   * New rules count at once, also for clients that are connected; new keys for those who come. A file that cannot be
   * used is told, and what was before stays.
   *
   * @returns ends it
   */
  watch(listeners: readonly NbdListener[]): () => void {
    const { config } = this;
    const ends = [
      this.#watch(this.#rules, config['nbd.access_file'], 'rules', (file) => {
        this.#rules = ExportRules.fromFile(file);
        const ended = listeners.reduce((sum, listener) => sum + listener.endUnallowed(), 0);
        return `; clients that they end: ${ended}`;
      }),
      this.#watch(this.#keys, config['nbd.psk_file'], 'pre-shared keys', (file) => {
        this.#keys = PreSharedKeys.fromFile(file);
        return '';
      }),
    ];
    return () => {
      for (const end of ends) end();
    };
  }

  /** @param replace what it returns follows the sentence */
  #watch(
    current: object | undefined,
    file: string,
    what: string,
    replace: (file: string) => string,
  ): () => void {
    if (current === undefined) return () => undefined;
    return watchFiles([file], SYSTEM_CLOCK, () => {
      try {
        const more = replace(file);
        this.logger.info(
          { event: 'nbd_file_replaced', file },
          `new ${what} from ${file} are in force${more}`,
        );
      } catch (error) {
        this.logger.warn(
          { event: 'nbd_file_not_replaced', file },
          `new ${what} are not used, those of before stay in force: ${(error as Error).message}`,
        );
      }
    });
  }
}
