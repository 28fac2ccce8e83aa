/**
 * Files that are either the old or the new one after a crash, never a mixture, never none. Two ways: a
 * file that is replaced has to find space for the new one; a file with a spare needs none, so that it can
 * be replaced also when the disk is full.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { exchangeNames } from 'blkferry-kernel';

/** Files with a spare are filled up to a multiple of this, and so keep their space. The block of most file systems. */
const SPACE_BYTES = 4096;

/** Makes a folder's entries durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await fs.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces a file, or makes it; durable when it resolves. */
export async function replaceFile(file: string, content: string): Promise<void> {
  const spare = spareOf(file);
  await writeDurably(spare, Buffer.from(content));
  await fs.rename(spare, file);
  await syncFolder(path.dirname(file));
}

/** Makes a file and its spare, durable with their content, but not yet with their names. */
export async function writeWithSpare(file: string, content: string): Promise<void> {
  await writeDurably(file, filled(content));
  await writeDurably(spareOf(file), filled(content));
}

/**
 * Replaces a file by writing over its spare, which then takes its name and gives it the other; durable
 * when it resolves. Without a spare, or where the file system cannot exchange names, this is replaceFile.
 */
export async function replaceBySpare(file: string, content: string): Promise<void> {
  const spare = spareOf(file);
  await writeDurably(spare, filled(content));
  try {
    exchangeNames(spare, file);
  } catch (error) {
    if (!CANNOT_EXCHANGE.has((error as { code?: unknown }).code)) throw error;
    await fs.rename(spare, file);
  }
  await syncFolder(path.dirname(file));
}

/** How file systems and kernels say so; ENOENT: one of the two is not there. */
const CANNOT_EXCHANGE: ReadonlySet<unknown> = new Set(['EINVAL', 'ENOSYS', 'EOPNOTSUPP', 'ENOENT']);

function spareOf(file: string): string {
  return `${file}.new`;
}

/** Writes over what is there, in its space. */
async function writeDurably(file: string, content: Buffer): Promise<void> {
  const { O_RDWR, O_CREAT } = fs.constants;
  const handle = await fs.open(file, O_RDWR | O_CREAT, 0o600);
  try {
    await handle.writeFile(content);
    if ((await handle.stat()).size > content.length) await handle.truncate(content.length);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Spaces before the last line's end: no reader of a text minds. */
function filled(content: string): Buffer {
  const text = content.trimEnd();
  const bytes = Buffer.byteLength(text) + 1;
  const spaces = Math.ceil(bytes / SPACE_BYTES) * SPACE_BYTES - bytes;
  return Buffer.from(`${text}${' '.repeat(spaces)}\n`);
}
