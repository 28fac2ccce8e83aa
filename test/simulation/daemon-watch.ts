/**
 * What can be seen of a daemon from outside, at the client that its volume uses: when it hears of its lease.
 */
import type { StorageClient } from '#daemon/transport/storage-client.js';

/** @param leased called when a lease was granted and its holder has heard of it */
export function watchLeases(
  client: StorageClient,
  leased: (generation: number) => void,
): StorageClient {
  const acquireLease: StorageClient['acquireLease'] = async (request) => {
    const lease = await client.acquireLease(request);
    leased(lease.generation);
    return lease;
  };
  return clientWith(client, { acquireLease });
}

/** The client with some of its methods replaced. */
export function clientWith(client: StorageClient, methods: Partial<StorageClient>): StorageClient {
  return new Proxy(client, {
    get: (target, name): unknown => {
      const replaced: unknown = Reflect.get(methods, name);
      if (replaced !== undefined) return replaced;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
