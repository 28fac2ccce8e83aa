/** "No such volume" with the names that may have been meant. */
import { StorageError } from '../rpc/storage-error.js';
import type { StorageClient } from '../transport/storage-client.js';
import { CommandError } from './exit-codes.js';
import { nearNamesHint } from './near-names.js';

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
    const names = (await node.listVolumes()).map((volume) => volume.name);
    const hint =
      nearNamesHint(name, names) || `; see: blkferry volume list --node ${node.address}`;
    const sentence = `no volume ${name} at ${node.address}${hint}`;
    throw new CommandError('not-found', sentence, { cause: error });
  }
}
