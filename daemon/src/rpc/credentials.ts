/**
 * Whether a connection is TLS or plain text: unix sockets are plain, TCP is TLS wherever certificates are
 * configured, also on loopback, and plain text beyond this machine has to be asked for.
 */
import { ChannelCredentials } from '@grpc/grpc-js';
import type { TlsMaterial } from '../security/tls-material.js';
import { isLocalAddress } from './node-address.js';
import { StorageError } from './storage-error.js';
import { TlsChannelCredentials, type TlsDial } from './tls-channel.js';

export interface Protection {
  /** Certificates to use over TCP; absent: none are configured. */
  readonly tls?: TlsMaterial | undefined;
  /** Allow plain text beyond this machine. */
  readonly insecure: boolean;
}

/**
 * @param who as in "node": what answers at the address, for messages
 * @throws StorageError 'denied' for plain text to an address beyond this machine, unless it was allowed
 */
export function clientCredentials(
  address: string,
  protection: Protection,
  who: string,
): ChannelCredentials {
  const material = materialFor(address, protection);
  if (material !== undefined) return new TlsChannelCredentials(material, address, who);
  refusePlainText(address, protection.insecure, 'connect to');
  return ChannelCredentials.createInsecure();
}

/** How a session's connection to this address is made TLS; undefined: plain text. @throws StorageError 'denied' as above */
export function sessionDial(
  address: string,
  protection: Protection,
  who: string,
): TlsDial | undefined {
  const material = materialFor(address, protection);
  if (material === undefined) refusePlainText(address, protection.insecure, 'connect to');
  return material && { material, address, who };
}

/** What a server at this address uses; undefined: plain text. @throws StorageError 'denied' as above */
export function serverMaterial(address: string, protection: Protection): TlsMaterial | undefined {
  const material = materialFor(address, protection);
  if (material === undefined) refusePlainText(address, protection.insecure, 'listen at');
  return material;
}

function materialFor(address: string, { tls }: Protection): TlsMaterial | undefined {
  return address.startsWith('unix:') ? undefined : tls;
}

function refusePlainText(address: string, insecure: boolean, what: string): void {
  if (insecure || isLocalAddress(address)) return;
  throw new StorageError(
    'denied',
    `will not ${what} ${address} in plain text: use a loopback address or a unix socket, set tls.certificate, ` +
      `tls.key and tls.ca, or set insecure = true if the network between is private`,
  );
}
