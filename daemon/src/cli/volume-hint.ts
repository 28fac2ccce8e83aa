/** "No such volume" with the names that may have been meant. */
import { StorageError } from '../rpc/storage-error.js';
import type { StorageClient } from '../transport/storage-client.js';
import { CommandError } from './exit-codes.js';
import { nearNamesHint } from '../runtime/near-names.js';

/** Runs a call about one volume; when the node does not know it, says which names are near. */
export async function withVolumeHint<Value>(
  node: StorageClient,
  name: string,
  work: () => Promise<Value>,
): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== 'not-found') throw error;
    throw await noSuchVolume(node, name, error);
  }
}

/** The sentence for a volume that the node does not have. @throws StorageError when the node goes away */
export async function noSuchVolume(
  node: StorageClient,
  name: string,
  cause: unknown,
): Promise<CommandError> {
  const names = (await node.listVolumes()).map((volume) => volume.name);
  const hint = nearNamesHint(name, names) || `; see: blkferry volume list --node ${node.address}`;
  return new CommandError('not-found', `no volume ${name} at ${node.address}${hint}`, { cause });
}
