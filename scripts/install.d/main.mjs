#!/usr/bin/env node
/** The installer: reads its options, does one of its two works, and says what came of it. Started by scripts/install. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readFileSync } from 'node:fs';
import { InstallFailure } from './install-failure.mjs';
import { install } from './installation.mjs';
import {
  announceInstallation,
  disableServices,
  reloadSystemd,
  runningServices,
} from './machine.mjs';
import { findNode } from './node-program.mjs';
import { readOptions } from './options.mjs';
import { placesFor } from './places.mjs';
import { programFiles } from './program-files.mjs';
import { remove } from './removal.mjs';
import { blockScript, systemFiles } from './system-files.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.destdir === '' && process.getuid() !== 0) {
    throw new InstallFailure(
      'only root may change this machine; run it as root, or with --destdir',
    );
  }
  // What is installed is for everybody to read, whoever installs it.
  process.umask(0o022);
  if (options.uninstall) runRemoval(options);
  else runInstallation(options);
}

function runInstallation(options) {
  const { destdir } = options;
  const places = placesFor(options.prefix);
  const { node, warning } = findNode(options.node, ROOT);
  const programEntries = programFiles(ROOT, node).map((entry) =>
    entry.path === 'scripts/xen/block-blkferry'
      ? { ...entry, content: blockScript(entry.source, places) }
      : entry,
  );
  const systemEntries = systemFiles(ROOT, node, places, options);
  const programFolder = places.program;
  const result = install({ destdir, programFolder, programEntries, systemEntries });
  const problems = destdir === '' ? announceInstallation(places, options) : [];
  const where = path.join(destdir, programFolder);
  const mebibytes = Math.round(result.bytes / 2 ** 20);
  say(`blkferry ${version()} is installed in ${where}: ${result.files} files, ${mebibytes} MiB`);
  for (const file of result.kept) say(`${path.join(destdir, file)} was there and stays as it is`);
  for (const problem of [warning, ...problems].filter(Boolean)) complain(problem);
  if (destdir === '') sayNext(places, options);
}

function sayNext(places, options) {
  say(`settings are in ${places.settings}; next:`);
  if (options.withUdev)
    say('  modprobe nbd                         (at boot it is loaded by itself)');
  if (options.withSystemd) {
    say('  systemctl enable --now blkferry-node  (where volumes are to be kept)');
    say('  systemctl enable --now blkferryd      (where guests run)');
    const running = runningServices();
    if (running.length > 0)
      say(`  systemctl restart ${running.join(' ')}   (they run the old version)`);
  }
  say('  blkferry doctor                      (says what is missing)');
}

function runRemoval({ destdir, prefix }) {
  const places = placesFor(prefix);
  if (destdir === '') {
    const running = runningServices();
    if (running.length > 0) {
      throw new InstallFailure(
        `${running.join(' and ')} still ${running.length === 1 ? 'runs' : 'run'}, and guests may depend on it; end those, then: systemctl stop ${running.join(' ')}`,
      );
    }
    disableServices();
  }
  const kept = remove(destdir, places.program);
  if (destdir === '') reloadSystemd();
  say(`blkferry is removed from ${path.join(destdir, places.program)}`);
  for (const file of kept) say(`${file} was changed and stays`);
  if (destdir === '') say('volumes, state and the user blkferry-node stay: /var/lib/blkferry');
}

function version() {
  return JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')).version;
}

function say(sentence) {
  process.stdout.write(`install: ${sentence}\n`);
}

function complain(sentence) {
  process.stderr.write(`install: ${sentence}\n`);
}

try {
  main();
} catch (error) {
  if (!(error instanceof InstallFailure || typeof error.code === 'string')) throw error;
  complain(error.message);
  process.exitCode = error.exitCode ?? 1;
}
