/**
 * The list of what an installation consists of, kept inside of it: what a removal removes, and what the next
 * installation may replace. Written before anything else, so that an interrupted installation can be
 * repeated or removed.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { InstallFailure } from './install-failure.mjs';

export const MANIFEST_NAME = 'install-manifest.json';

/** Another form of the list is another number. */
const FORM = 1;

/**
 * @returns { files: [path], folders: [path], settings: { path: digest as it was installed } }, paths as the
 *   installed system sees them; undefined if nothing is installed there
 */
export function readManifest(destdir, programFolder) {
  const file = path.join(destdir, programFolder, MANIFEST_NAME);
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
  const manifest = parse(text);
  if (manifest?.form === FORM) return manifest;
  throw new InstallFailure(
    `${file} is not a list this version can read; use the scripts/install of the version that wrote it`,
  );
}

export function formatManifest({ files, folders, settings }) {
  const sorted = (paths) => [...new Set(paths)].sort();
  const list = { form: FORM, files: sorted(files), folders: sorted(folders), settings };
  return `${JSON.stringify(list, undefined, 1)}\n`;
}

/** What both name; the newer digest of settings. */
export function unionOf(older, newer) {
  return {
    files: [...older.files, ...newer.files],
    folders: [...older.folders, ...newer.folders],
    settings: { ...older.settings, ...newer.settings },
  };
}

export const EMPTY_MANIFEST = { files: [], folders: [], settings: {} };

export function digestOf(content) {
  return createHash('sha256').update(content).digest('hex');
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
