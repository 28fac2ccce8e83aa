/**
 * Who is at the other end of a gRPC call, by what the transport proves. What that one may do is decided by
 * whoever asks.
 */
import type { ServerUnaryCall } from '@grpc/grpc-js';
import { factsOfPeer } from '../security/certificate.js';
import { isLocalAddress } from './node-address.js';
import { StorageError } from './storage-error.js';

/** Any call, as far as it tells who is at its other end. */
export type PeerCall = Pick<ServerUnaryCall<unknown, unknown>, 'getPeer' | 'getAuthContext'>;

export type PeerIdentity =
  /** On this machine: a unix socket, or plain text on loopback. */
  | { readonly kind: 'local'; readonly peer: string }
  /** Plain text from a network, which somebody allowed with `insecure`. */
  | { readonly kind: 'plain'; readonly peer: string }
  | {
      readonly kind: 'certificate';
      /** DNS and URI names, in the certificate's order; may be empty. */
      readonly names: readonly string[];
      /** As in "CN=daemon-7". */
      readonly subject: string;
      readonly peer: string;
    };

/** Where a call came in: it is this that says what must be proved there, and not the call. */
export interface CallPlace {
  readonly address: string;
  readonly isTls: boolean;
}

/**
 * @throws StorageError 'denied' for a call on a TLS connection whose certificate cannot be had, because the
 *   connection is going away: nobody in particular may do nothing
 */
export function peerIdentity(call: PeerCall, { address, isTls }: CallPlace): PeerIdentity {
  const peer = call.getPeer();
  if (!isTls) return isLocalAddress(address) ? { kind: 'local', peer } : { kind: 'plain', peer };
  const der = call.getAuthContext().sslPeerCertificate?.raw;
  if (der === undefined) {
    throw new StorageError('denied', 'the certificate of this connection cannot be seen any more');
  }
  const { names, subject } = factsOfPeer(der);
  return { kind: 'certificate', names, subject, peer };
}
