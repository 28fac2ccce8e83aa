/**
 * TLS of a program from its start to its end: the files that its settings name are read, or the start is refused;
 * after that they are watched.
 */
import { tlsFiles, type TlsConfig } from '../config/tls-settings.js';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import { dayAndTime } from '../security/certificate.js';
import { watchCertificate } from '../security/certificate-watch.js';
import { TlsMaterial } from '../security/tls-material.js';

export interface RunningTls {
  /** Undefined without TLS. */
  readonly material: TlsMaterial | undefined;
  /** Ends watching the files. */
  stop(): void;
}

const INSECURE =
  'plain text beyond this machine is allowed (insecure = true): whoever is on the network can read and change every disk';

/** @throws TlsMaterialError when a file cannot be used */
export function startTls(
  config: TlsConfig & { readonly insecure: boolean },
  logger: Logger,
): RunningTls {
  if (config.insecure) logger.warn({ event: 'insecure_allowed' }, INSECURE);
  const files = tlsFiles(config);
  if (files === undefined) return { material: undefined, stop: () => undefined };
  const material = TlsMaterial.load(files, Date.now());
  const { subject, issuer, alternativeNames, validToMs } = material.current.facts;
  logger.info(
    { event: 'certificate_loaded', subject, issuer, alternativeNames, validToMs },
    `known to others as ${subject} (${alternativeNames}) until ${dayAndTime(validToMs)}`,
  );
  return { material, stop: watchCertificate(material, SYSTEM_CLOCK, () => Date.now(), logger) };
}
