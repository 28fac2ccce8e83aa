/** "No such export" with the names that may have been meant. */
import type { AdminClient } from './admin-client.js';
import { nearNamesHint } from '../runtime/near-names.js';

/** @returns what follows the sentence that says that there is no such export */
export async function exportHint(daemon: AdminClient, name: string): Promise<string> {
  const names = (await daemon.listAttachments()).map((attachment) => attachment.exportName);
  return nearNamesHint(name, names) || '; see: blkferry list';
}
