/** The client of a node, whether it has one address or several. */
import { nodeAddresses } from '../rpc/node-address.js';
import { createGrpcStorageClient, type StorageClientOptions } from './grpc-storage-client.js';
import { NodeRoutes } from './node-routes.js';
import type { StorageClient } from './storage-client.js';

/**
 * @param options its address may be several, with commas between, the preferred one first
 * @throws StorageError 'denied' for an address that plain text must not go to
 */
export function createNodeClient(options: StorageClientOptions): StorageClient {
  const addresses = nodeAddresses(options.address);
  const create = (address: string): StorageClient =>
    createGrpcStorageClient({ ...options, address });
  if (addresses.length === 1) return createGrpcStorageClient(options);
  const { clock, sessionTimes } = options;
  return new NodeRoutes({
    ...{ addresses, create, clock },
    answerTimeoutMs: sessionTimes.openTimeoutMs,
  });
}
