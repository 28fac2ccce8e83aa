/**
 * Why a TLS connection did not come about, as a sentence that says whose certificate or setting it is and what
 * to do. OpenSSL's and Node's codes in, words out.
 */
import net from 'node:net';
import type tls from 'node:tls';
import { certificateFacts, dayAndTime, type CertificateFacts } from './certificate.js';

/** The two ends of a connection, as this end sees them. */
export interface TlsEnds {
  /** As in "node a:7600". */
  readonly peer: string;
  /** What this program presents. */
  readonly own: CertificateFacts;
  readonly nowMs: number;
}

/** What the peer presented; undefined: nothing. */
export function presentedBy(socket: tls.TLSSocket): CertificateFacts | undefined {
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? undefined : certificateFacts(certificate);
}

const OTHER_AUTHORITY: ReadonlySet<string> = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
]);

/**
 * Why a certificate is not believed.
 *
 * @param code as in TLSSocket.authorizationError
 * @param peer as in "node a:7600"
 * @param role what it would have to be made for
 */
export function unbelievable(
  code: string,
  peer: string,
  facts: CertificateFacts | undefined,
  role: 'server' | 'client',
  nowMs: number,
): string {
  if (facts === undefined)
    return `${peer} presented no certificate, and everybody must present one`;
  const { subject, issuer, validToMs, validFromMs } = facts;
  const certificate = `the certificate of ${peer} (${subject})`;
  if (code === 'CERT_HAS_EXPIRED') {
    return nowMs > validToMs
      ? `${certificate} has expired on ${dayAndTime(validToMs)}; issue a new one there`
      : `an authority of ${certificate}, ${issuer}, has expired; make a new one and name it in tls.ca`;
  }
  if (code === 'CERT_NOT_YET_VALID')
    return `${certificate} is valid from ${dayAndTime(validFromMs)} only; are the clocks of both machines right?`;
  if (code === 'DEPTH_ZERO_SELF_SIGNED_CERT')
    return `${certificate} is signed by nobody but itself; issue one by an authority of tls.ca`;
  if (OTHER_AUTHORITY.has(code))
    return `${certificate} is of another authority (${issuer}) than those in tls.ca`;
  if (code === 'INVALID_PURPOSE')
    return `${certificate} is not made for a ${role} (extended key usage); issue one that is`;
  return `${certificate} is not believed: ${code}`;
}

/**
 * A certificate that is believed, but is not for the name or address that was dialled.
 *
 * @param host without brackets
 */
export function wrongName(host: string, peer: string, facts: CertificateFacts | undefined): string {
  const { subject = 'no subject', alternativeNames = '' } = facts ?? {};
  const kind = net.isIP(host) === 0 ? 'name' : 'address';
  const names = alternativeNames === '' ? ', nor for any other' : ` but for ${alternativeNames}`;
  return (
    `the certificate of ${peer} (${subject}) is not for the ${kind} ${host}${names}; ` +
    `use one of its names, or issue one with --host ${host}`
  );
}

/** OpenSSL found no TLS record where one had to be. */
const NOT_TLS =
  /WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|UNKNOWN_PROTOCOL|BAD_RECORD_TYPE|UNEXPECTED_MESSAGE/;
const OTHER_VERSION =
  /ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS_AVAILABLE|VERSION_TOO_LOW/;

/** Of a connection that this program began. @param error of the socket; undefined: it was closed */
export function dialFailure(error: Error | undefined, { peer, own, nowMs }: TlsEnds): string {
  const code = codeOf(error);
  if (NOT_TLS.test(code))
    return `${peer} speaks plain text, and this program TLS; set tls.certificate, tls.key and tls.ca there too`;
  if (OTHER_VERSION.test(code))
    return `${peer} speaks no version of TLS that this program accepts, or the reverse; see tls.min_version at both ends`;
  if (/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_|UNSUPPORTED_CERTIFICATE)/.test(code))
    return refusedOwn(peer, own, nowMs);
  return `${peer} ended the TLS handshake${error === undefined ? '' : `: ${error.message}`}`;
}

/** The handshake was over for us, and the peer closed without a word: it judges certificates last. */
export function refusedOwn(peer: string, own: CertificateFacts, nowMs: number): string {
  const mine = `this program's certificate (${own.subject})`;
  if (nowMs > own.validToMs)
    return `${peer} refuses ${mine}: it has expired on ${dayAndTime(own.validToMs)}; issue a new one`;
  return `${peer} refuses ${mine}, which is of ${own.issuer}; the log there says why (is its authority in tls.ca there?)`;
}

/** Of a connection that somebody else began. @param peer as in "client 10.0.0.5:40112" */
export function acceptFailure(error: Error, peer: string): string {
  const code = codeOf(error);
  if (NOT_TLS.test(code)) return `${peer} speaks plain text where TLS is spoken`;
  if (OTHER_VERSION.test(code))
    return `${peer} wants a version of TLS that is not spoken here (tls.min_version), or has only others`;
  if (/ALERT_UNKNOWN_CA/.test(code))
    return `${peer} does not know the authority of this program's certificate`;
  if (/ALERT_CERTIFICATE_EXPIRED/.test(code))
    return `${peer} found this program's certificate expired`;
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT')
    return `${peer} did not finish its TLS handshake in time`;
  if (code === 'ECONNRESET') return `${peer} went away during its TLS handshake`;
  return `${peer} failed in its TLS handshake: ${error.message}`;
}

function codeOf(error: Error | undefined): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : '';
}
