/** TLS of a program at its start: the files that its settings name are read, or the start is refused. */
import { tlsFiles, type TlsConfig } from '../config/tls-settings.js';
import type { Logger } from '../runtime/logger.js';
import { dayAndTime } from '../security/certificate.js';
import { TlsMaterial } from '../security/tls-material.js';

/** @returns undefined without TLS. @throws TlsMaterialError when a file cannot be used */
export function openTls(config: TlsConfig, logger: Logger): TlsMaterial | undefined {
  const files = tlsFiles(config);
  if (files === undefined) return undefined;
  const material = TlsMaterial.load(files, Date.now());
  const { subject, issuer, alternativeNames, validToMs } = material.current.facts;
  logger.info(
    { event: 'certificate_loaded', subject, issuer, alternativeNames, validToMs },
    `known to others as ${subject} (${alternativeNames}) until ${dayAndTime(validToMs)}`,
  );
  return material;
}
