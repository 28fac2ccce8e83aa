/** Credentials of channels and servers. Plain text only where nobody else can listen. */
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import { isLocalAddress } from './node-address.js';
import { StorageError } from './storage-error.js';

/** @throws StorageError 'denied' for an address beyond this machine, unless plain text is allowed explicitly */
export function clientCredentials(address: string, insecure: boolean): ChannelCredentials {
  refusePlainText(address, insecure, 'connect to');
  return ChannelCredentials.createInsecure();
}

/** @throws StorageError 'denied' as above */
export function serverCredentials(address: string, insecure: boolean): ServerCredentials {
  refusePlainText(address, insecure, 'listen at');
  return ServerCredentials.createInsecure();
}

function refusePlainText(address: string, insecure: boolean, what: string): void {
  if (insecure || isLocalAddress(address)) return;
  throw new StorageError(
    'denied',
    `will not ${what} ${address} in plain text: use a loopback address or a unix socket, ` +
      `or set insecure = true if the network between is private`,
  );
}
