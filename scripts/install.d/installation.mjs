/**
 * Puts files where they belong. The program's folder is made complete beside the old one and then takes its
 * place; every other file is replaced in one step. A file that somebody else put there is not touched: then
 * nothing is installed.
 */
import fs from 'node:fs';
import path from 'node:path';
import { InstallFailure } from './install-failure.mjs';
import {
  digestOf,
  EMPTY_MANIFEST,
  formatManifest,
  MANIFEST_NAME,
  readManifest,
  unionOf,
} from './manifest.mjs';

/**
 * @param plan { destdir, programFolder, programEntries, systemEntries }
 * @returns { files, bytes, kept: settings that somebody wrote, which stay }
 * @throws InstallFailure before anything was changed if a file of somebody else is in the way
 */
export function install(plan) {
  const { destdir, programFolder, systemEntries } = plan;
  const real = (file) => path.join(destdir, file);
  takeBackFormer(real(programFolder));
  const old = readManifest(destdir, programFolder) ?? EMPTY_MANIFEST;
  const isKept = (entry) =>
    entry.isSettings === true && isOfSomebody(real(entry.path), old.settings[entry.path]);
  const written = systemEntries.filter((entry) => !isKept(entry));
  refuseForeignFiles(plan, written, old);
  const list = listOf(plan, old);
  const bytes = stageProgram(plan, unionOf(old, list));
  exchangeProgram(real(programFolder));
  for (const entry of written) writeEntry(real(entry.path), entry);
  removeStale(destdir, old, list);
  const manifest = { path: '', content: formatManifest(list), mode: 0o644 };
  writeEntry(path.join(real(programFolder), MANIFEST_NAME), manifest);
  const kept = systemEntries.filter((entry) => !written.includes(entry));
  return { files: list.files.length, bytes, kept: kept.map((entry) => entry.path) };
}

function refuseForeignFiles({ destdir, programFolder }, entries, old) {
  const known = new Set([...old.files, ...Object.keys(old.settings)]);
  if (old === EMPTY_MANIFEST && fs.existsSync(path.join(destdir, programFolder))) {
    throw new InstallFailure(
      `${path.join(destdir, programFolder)} is there and has no list of what was installed; move it away, or choose another --prefix`,
    );
  }
  const foreign = entries.filter(
    (entry) => !known.has(entry.path) && isThere(path.join(destdir, entry.path)),
  );
  if (foreign.length === 0) return;
  const names = foreign.map((entry) => path.join(destdir, entry.path));
  throw new InstallFailure(
    `not installed by this script and in the way: ${names.join(', ')}; remove them (with the package they belong to), or choose another --prefix`,
  );
}

/** What will be installed. Folders: those that are not there yet, or that an earlier installation made. */
function listOf({ destdir, programFolder, programEntries, systemEntries }, old) {
  const files = [
    ...programEntries.map((entry) => path.join(programFolder, entry.path)),
    path.join(programFolder, MANIFEST_NAME),
    ...systemEntries.filter((entry) => entry.isSettings !== true).map((entry) => entry.path),
  ];
  const settings = {};
  for (const entry of systemEntries.filter(({ isSettings }) => isSettings === true)) {
    const before = old.settings[entry.path];
    if (!isOfSomebody(path.join(destdir, entry.path), before)) {
      settings[entry.path] = digestOf(entry.content);
    } else if (before !== undefined) settings[entry.path] = before;
  }
  const folders = new Set();
  const knownFolders = new Set(old.folders);
  for (const file of [...files, ...Object.keys(settings)]) {
    for (let folder = path.dirname(file); folder !== '/'; folder = path.dirname(folder)) {
      if (knownFolders.has(folder) || !fs.existsSync(path.join(destdir, folder)))
        folders.add(folder);
    }
  }
  return { files, folders: [...folders], settings };
}

/** The folder of the program, complete, beside the one that is used. @returns its bytes */
function stageProgram({ destdir, programFolder, programEntries }, manifest) {
  const staged = stagedName(path.join(destdir, programFolder));
  fs.rmSync(staged, { recursive: true, force: true });
  let bytes = 0;
  for (const entry of programEntries) {
    const target = path.join(staged, entry.path);
    makeFolder(path.dirname(target));
    if (entry.link !== undefined) {
      fs.symlinkSync(entry.link, target);
      continue;
    }
    const content = entry.content ?? fs.readFileSync(entry.source);
    bytes += Buffer.byteLength(content);
    fs.writeFileSync(target, content);
    fs.chmodSync(target, entry.mode);
  }
  fs.writeFileSync(path.join(staged, MANIFEST_NAME), formatManifest(manifest));
  return bytes;
}

/** A moment without the folder remains if there was one before: a daemon that starts then is started again. */
function exchangeProgram(folder) {
  const former = formerName(folder);
  fs.rmSync(former, { recursive: true, force: true });
  if (fs.existsSync(folder)) fs.renameSync(folder, former);
  fs.renameSync(stagedName(folder), folder);
  fs.rmSync(former, { recursive: true, force: true });
}

/** An installation that was interrupted in that moment. */
function takeBackFormer(folder) {
  if (!fs.existsSync(folder) && fs.existsSync(formerName(folder))) {
    fs.renameSync(formerName(folder), folder);
  }
}

function formerName(folder) {
  return `${folder}.old`;
}

function stagedName(folder) {
  return `${folder}.new`;
}

function writeEntry(target, entry) {
  makeFolder(path.dirname(target));
  const beside = `${target}.blkferry-new`;
  fs.rmSync(beside, { force: true });
  if (entry.link === undefined) {
    fs.writeFileSync(beside, entry.content);
    fs.chmodSync(beside, entry.mode);
  } else {
    fs.symlinkSync(entry.link, beside);
  }
  fs.renameSync(beside, target);
}

/** Files of the older version that this one has no more. Those in the program's folder went with it. */
function removeStale(destdir, old, list) {
  const wanted = new Set(list.files);
  for (const file of old.files) {
    if (!wanted.has(file)) fs.rmSync(path.join(destdir, file), { force: true });
  }
}

function makeFolder(folder) {
  fs.mkdirSync(folder, { recursive: true, mode: 0o755 });
}

/** Settings that are not as an installation left them. */
function isOfSomebody(file, digest) {
  return fs.existsSync(file) && digestOf(fs.readFileSync(file)) !== digest;
}

/** Also a link that points to nothing. */
function isThere(file) {
  return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}
