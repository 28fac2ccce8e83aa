/** Files that are either the old or the new one after a crash, never a mixture, never none. */
import fs from 'node:fs/promises';
import path from 'node:path';

/** Makes a folder's entries durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await fs.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a new file, durable with its content, but not yet with its name. */
export async function writeDurably(file: string, content: string): Promise<void> {
  const handle = await fs.open(file, 'w', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces a file, or makes it; durable when it resolves. */
export async function replaceFile(file: string, content: string): Promise<void> {
  await writeDurably(`${file}.new`, content);
  await fs.rename(`${file}.new`, file);
  await syncFolder(path.dirname(file));
}
