/**
 * Keeps a program's certificate fresh while it runs: files that were replaced are read again, and a certificate
 * that nobody replaces is warned of before it expires.
 */
import type { Clock } from '../runtime/clock.js';
import { watchFiles } from '../runtime/watched-files.js';
import { dayAndTime } from './certificate.js';
import type { TlsMaterial } from './tls-material.js';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Two weeks before the end there is a warning, each day: somebody may be on holiday for one. */
export const EXPIRY_WARNING_MS = 14 * DAY_MS;

/** The part of a bunyan logger that is used. */
export interface CertificateLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/**
 * New connections use new files; a set that cannot be used is told and changes nothing.
 *
 * @param wallClock time of day, in milliseconds
 * @returns ends it
 */
export function watchCertificate(
  material: TlsMaterial,
  clock: Clock,
  wallClock: () => number,
  log: CertificateLog,
): () => void {
  const { certificate, key, ca } = material.files;
  const stopWatching = watchFiles([certificate, key, ca], clock, () => {
    reload(material, wallClock(), log);
  });
  let cancelWarning = (): void => undefined;
  const warnDaily = (): void => {
    warnOfExpiry(material, wallClock(), log);
    cancelWarning = clock.setTimer(DAY_MS, warnDaily);
  };
  warnDaily();
  return () => {
    stopWatching();
    cancelWarning();
  };
}

/** @returns a sentence when the certificate has two weeks or less to live, or none */
export function expiryWarning(
  subject: string,
  validToMs: number,
  nowMs: number,
): string | undefined {
  const leftMs = validToMs - nowMs;
  if (leftMs > EXPIRY_WARNING_MS) return undefined;
  if (leftMs <= 0)
    return `the certificate ${subject} has expired on ${dayAndTime(validToMs)}: no new connection comes about`;
  const days = Math.floor(leftMs / DAY_MS);
  const left = days < 1 ? 'within a day' : `in ${days} day${days === 1 ? '' : 's'}`;
  return `the certificate ${subject} expires ${left}, on ${dayAndTime(validToMs)}; replace its files, nothing need be restarted`;
}

function reload(material: TlsMaterial, nowMs: number, log: CertificateLog): void {
  try {
    material.reload(nowMs);
  } catch (error) {
    const { message } = error as Error;
    log.warn(
      { event: 'certificate_not_replaced' },
      `new files for TLS are not used, those of before stay in use: ${message}`,
    );
    return;
  }
  const { subject, issuer, alternativeNames, validToMs } = material.current.facts;
  log.info(
    { event: 'certificate_replaced', subject, issuer, alternativeNames, validToMs },
    `new files for TLS: ${subject} (${alternativeNames}) until ${dayAndTime(validToMs)}; connections of before live on`,
  );
  warnOfExpiry(material, nowMs, log);
}

function warnOfExpiry(material: TlsMaterial, nowMs: number, log: CertificateLog): void {
  const { subject, validToMs } = material.current.facts;
  const sentence = expiryWarning(subject, validToMs, nowMs);
  if (sentence !== undefined)
    log.warn({ event: 'certificate_expires', subject, validToMs }, sentence);
}
