/**
 * The folder that belongs to one node: locked against a second one, and marked with the node's id and
 * the format of what is inside.
 *
 *     node.json                 { format, nodeId, createdUnixMs }
 *     lock                      held by the running node; its pid inside, for people
 *     volumes/<volumeId>/       volume.json, its spare volume.json.new, and what the backend keeps
 *     creating/, deleting/      volumes half made or half gone: removed at the next start
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { lockDirectory } from '../runtime/directory-lock.js';
import { StorageError } from '../rpc/storage-error.js';
import { replaceFile, syncFolder } from './atomic-file.js';

const FORMAT = 1;
const NODE_FILE = z.object({ format: z.int(), nodeId: z.string().min(1), createdUnixMs: z.int() });

export interface DataDirectory {
  readonly folder: string;
  readonly nodeId: string;
  readonly volumes: string;
  readonly creating: string;
  readonly deleting: string;
  unlock(): void;
}

/** @throws StorageError 'refused' if another node has it or its format is unknown; Error if it cannot be made */
export async function openDataDirectory(folder: string): Promise<DataDirectory> {
  const unlock = takeLock(folder);
  try {
    const nodeId = await readNodeId(folder);
    const places = {
      volumes: path.join(folder, 'volumes'),
      creating: path.join(folder, 'creating'),
      deleting: path.join(folder, 'deleting'),
    };
    for (const place of Object.values(places))
      fs.mkdirSync(place, { recursive: true, mode: 0o700 });
    await syncFolder(folder);
    return { folder, nodeId, ...places, unlock: once(unlock) };
  } catch (error) {
    unlock();
    throw error;
  }
}

/** A second time it would close a file of somebody else's that has the same number. */
function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) work();
    isDone = true;
  };
}

function takeLock(folder: string): () => void {
  try {
    return lockDirectory(folder, 'blkferry-node', '--data-directory');
  } catch (cause) {
    throw new StorageError('refused', (cause as Error).message, { cause });
  }
}

async function readNodeId(folder: string): Promise<string> {
  const file = path.join(folder, 'node.json');
  if (!fs.existsSync(file)) {
    const nodeId = randomUUID();
    await replaceFile(
      file,
      `${JSON.stringify({ format: FORMAT, nodeId, createdUnixMs: Date.now() })}\n`,
    );
    return nodeId;
  }
  const found = NODE_FILE.safeParse(parseJson(fs.readFileSync(file, 'utf8')));
  if (!found.success)
    throw new StorageError(
      'refused',
      `${file} is damaged; restore it from a backup, nothing was changed`,
    );
  if (found.data.format !== FORMAT) {
    throw new StorageError(
      'refused',
      `${file} has format ${found.data.format}, this version knows format ${FORMAT}; use the version that made it`,
    );
  }
  return found.data.nodeId;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
