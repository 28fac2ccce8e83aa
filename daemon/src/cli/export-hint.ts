/** "No such export" with the names that may have been meant. */
import { StorageError } from '../rpc/storage-error.js';
import type { AdminClient } from './admin-client.js';
import { CommandError } from './exit-codes.js';
import { nearNamesHint } from '../runtime/near-names.js';

/** @returns what follows the sentence that says that there is no such export */
export async function exportHint(daemon: AdminClient, name: string): Promise<string> {
  const names = (await daemon.listAttachments()).map((attachment) => attachment.exportName);
  return nearNamesHint(name, names) || '; see: blkferry list';
}

/** Runs a call about one export; when the daemon does not know it, says which names are near. */
export async function withExportHint<Value>(
  daemon: AdminClient,
  name: string,
  work: () => Promise<Value>,
): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof StorageError) || error.kind !== 'not-found') throw error;
    const hint = await exportHint(daemon, name);
    throw new CommandError('not-found', `nothing is attached as ${name}${hint}`, { cause: error });
  }
}
