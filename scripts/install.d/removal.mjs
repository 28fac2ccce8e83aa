/** Takes away what the list of an installation names, and folders it made that are empty then. */
import fs from 'node:fs';
import path from 'node:path';
import { InstallFailure } from './install-failure.mjs';
import { digestOf, MANIFEST_NAME, readManifest } from './manifest.mjs';

/**
 * @returns settings that were changed since they were installed, which stay
 * @throws InstallFailure if nothing is installed there
 */
export function remove(destdir, programFolder) {
  const manifest = readManifest(destdir, programFolder);
  if (manifest === undefined) {
    throw new InstallFailure(
      `${path.join(destdir, programFolder)} has no list of what was installed; was it installed with another --prefix or --destdir?`,
    );
  }
  const kept = [];
  for (const [file, digest] of Object.entries(manifest.settings)) {
    const target = path.join(destdir, file);
    if (!fs.existsSync(target)) continue;
    if (digestOf(fs.readFileSync(target)) === digest) fs.rmSync(target);
    else kept.push(target);
  }
  const listFile = path.join(programFolder, MANIFEST_NAME);
  // The list itself goes last: a removal that was interrupted can be repeated.
  for (const file of [...manifest.files.filter((one) => one !== listFile), listFile]) {
    fs.rmSync(path.join(destdir, file), { force: true });
  }
  const deepestFirst = [...manifest.folders].sort((left, right) => right.length - left.length);
  for (const folder of deepestFirst) removeIfEmpty(path.join(destdir, folder));
  return kept;
}

function removeIfEmpty(folder) {
  try {
    fs.rmdirSync(folder);
  } catch (error) {
    if (!['ENOTEMPTY', 'ENOENT', 'EEXIST'].includes(error.code)) throw error;
  }
}
