/**
 * Who calls, as far as a storage node cares: the names in the client's certificate, or somebody who may do
 * everything because the node listens where only trusted ones can come. And which client is the same as one
 * of before.
 */
import type { PeerIdentity } from '../rpc/peer-identity.js';
import { StorageError } from '../rpc/storage-error.js';

export interface Caller {
  /** Names in the certificate, URI and DNS; undefined: no certificate is asked for, everything is allowed. */
  readonly names: readonly string[] | undefined;
  /** For logs and sentences. */
  readonly label: string;
  /** Where from, as the transport tells it. */
  readonly peer: string;
}

/** Somebody behind a socket that only trusted ones can open. */
export const TRUSTED_CALLER: Caller = { names: undefined, label: 'local', peer: '' };

/** How many names of a certificate a label shows: enough for people to know whose it is. */
const LABEL_NAMES_MAX = 2;

/**
 * Who somebody is to this node. Without a certificate everything is allowed: the node listens where only trusted
 * ones come, or somebody took that upon themselves (`insecure`).
 *
 * @throws StorageError 'denied' for a certificate by whose names nobody could be known again
 */
export function callerOfPeer(identity: PeerIdentity): Caller {
  switch (identity.kind) {
    case 'local':
      return { ...TRUSTED_CALLER, peer: identity.peer };
    case 'plain':
      return { names: undefined, label: 'anybody (insecure)', peer: identity.peer };
    case 'certificate': {
      const { names, subject, peer } = identity;
      if (names.length > 0)
        return { names, label: names.slice(0, LABEL_NAMES_MAX).join(' '), peer };
      throw new StorageError(
        'denied',
        `the certificate ${subject} has no DNS or URI name (subjectAltName) by which its holder could be known; issue one with a name`,
      );
    }
  }
}

/**
 * How many characters of names are kept with a lease. The record of a volume stays small: its place on the
 * disk is kept free for it. The first names of a certificate identify it; they have at most 253 each.
 */
export const LEASE_NAMES_CHARS_MAX = 1024;

/** The names by which the holder of a lease is known again; undefined if it has none. */
export function leaseNames({ names }: Caller): readonly string[] | undefined {
  if (names === undefined) return undefined;
  const kept: string[] = [];
  let chars = 0;
  for (const name of names) {
    chars += name.length;
    if (chars > LEASE_NAMES_CHARS_MAX) break;
    kept.push(name);
  }
  return kept;
}

/**
 * Whether this caller may act as the one with these names: one name in common is enough, so that a renewed
 * certificate may have further ones. What was made without a certificate belongs to whoever names it, as
 * does everything to a caller who needs none.
 */
export function isOwner(caller: Caller, ownerNames: readonly string[] | undefined): boolean {
  if (caller.names === undefined || ownerNames === undefined) return true;
  return caller.names.some((name) => ownerNames.includes(name));
}
