/**
 * What is read from a certificate: whose it is, until when, and by which names its holder is known. Whether it
 * is to be believed is OpenSSL's business, during the handshake.
 */
import { X509Certificate } from 'node:crypto';

export interface CertificateFacts {
  /** As in "CN=node-a", one line. */
  readonly subject: string;
  readonly issuer: string;
  /** Subject alternative names that identify a holder: DNS and URI, without their prefixes, in their order. */
  readonly names: readonly string[];
  /** All subject alternative names, as in "DNS:node-a, IP Address:10.0.0.1". */
  readonly alternativeNames: string;
  /** Time of day in milliseconds. */
  readonly validFromMs: number;
  readonly validToMs: number;
}

/** @param certificate of a file or of a connection's peer */
export function certificateFacts(certificate: X509Certificate): CertificateFacts {
  const alternativeNames = certificate.subjectAltName ?? '';
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    names: identityNames(alternativeNames),
    alternativeNames,
    validFromMs: Date.parse(certificate.validFrom),
    validToMs: Date.parse(certificate.validTo),
  };
}

/** @param der as a TLS socket hands it out */
export function factsOfPeer(der: Buffer): CertificateFacts {
  return certificateFacts(new X509Certificate(der));
}

/** Node writes a name as a JSON string when it has a character that could be taken for a separator. */
const ALTERNATIVE_NAME =
  /(?<kind>[^:,]+):(?:(?<quoted>"(?:[^"\\]|\\.)*")|(?<plain>[^,"]*))(?:, |$)/y;

/**
 * @param text subject alternative names as Node prints them
 * @returns DNS and URI names; none at all if the text cannot be read as a whole: a name that hides another
 *   must not give anybody a right
 */
export function identityNames(text: string): string[] {
  const names: string[] = [];
  ALTERNATIVE_NAME.lastIndex = 0;
  while (ALTERNATIVE_NAME.lastIndex < text.length) {
    const groups = ALTERNATIVE_NAME.exec(text)?.groups;
    if (groups === undefined) return [];
    const { kind = '', quoted, plain = '' } = groups;
    if (kind !== 'DNS' && kind !== 'URI') continue;
    const name = quoted === undefined ? plain : unquoted(quoted);
    if (name === undefined) return [];
    names.push(name);
  }
  return names;
}

function unquoted(text: string): string | undefined {
  try {
    return JSON.parse(text) as string;
  } catch {
    return undefined;
  }
}

/** "2027-01-31 14:05 UTC": what people compare with a calendar. */
export function dayAndTime(timeMs: number): string {
  if (Number.isNaN(timeMs)) return 'an unreadable date';
  return `${new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** Every certificate of a PEM text, in its order. @throws Error when one cannot be read */
export function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** @param name Node's types do not say it: undefined for a certificate whose subject or issuer is empty */
function oneLine(name: string | undefined): string {
  return name === undefined || name === '' ? 'no subject' : name.split('\n').join(', ');
}
