/**
 * What a running installation needs of the checkout: the bundled programs, schemas, the add-on, the npm
 * packages that no bundle can hold, and the licences of those that are in one. The list of packages is what
 * `npm ci` wrote down when it installed them, so nothing is downloaded, and neither npm nor the network is
 * needed.
 *
 * An entry is { path below the program's folder, source | content | link, mode }.
 */
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { EXTERNAL_PACKAGES, PACKAGES_WITH_SCHEMAS, PROGRAMS, THREADS } from '../dev/bundle.mjs';
import { InstallFailure } from './install-failure.mjs';

/** Of packages only what is loaded, and what their licences ask to go with a copy of them. */
const LOADED = /\.(js|cjs|mjs|json|node|proto|wasm)$/;
const LICENCE = /^(licen[cs]e|copying|notice)/i;

/** @throws InstallFailure if the checkout is not built */
export function programFiles(root, node) {
  requireBuild(root);
  const entries = [
    copy(root, 'package.json'),
    copy(root, 'kmod/addon/package.json'),
    copy(root, 'kmod/addon/index.js'),
    copy(root, 'kmod/addon/build/blkferry_kernel.node'),
    ...filesBelow(root, 'proto', /\.proto$/),
    ...filesBelow(root, 'daemon/dist/program', /\.js$/).map((entry) => startedBy(node, entry)),
    // What `blkferry doctor` compares the installed one with.
    ...filesBelow(root, 'scripts/xen', /^block-blkferry$/),
    ...packageFiles(root),
  ];
  return entries;
}

/** Names on the PATH, and the program of each below the program's folder. */
export function programLinks() {
  return PROGRAMS.map((name) => [name, `daemon/dist/program/${name}.js`]);
}

function requireBuild(root) {
  const needed = [
    ...programLinks().map(([, file]) => file),
    ...THREADS.map((name) => `daemon/dist/program/${name}.js`),
    'kmod/addon/build/blkferry_kernel.node',
    'node_modules/.package-lock.json',
  ];
  const missing = needed.filter((file) => !existsSync(path.join(root, file)));
  if (missing.length === 0) return;
  throw new InstallFailure(
    `${root} is not built (${missing[0]} is not there); run, not as root: npm ci && npm run build`,
  );
}

/** A program whose first line names the Node it is for. */
function startedBy(node, entry) {
  const text = readFileSync(entry.source, 'utf8');
  const first = /^#!\/usr\/bin\/env (?:-S (?:\w+=\S+ )*)?node(.*)\n/.exec(text);
  if (first === null) return entry;
  const content = `#!${node}${first[1]}\n${text.slice(first[0].length)}`;
  return { path: entry.path, content, mode: 0o755 };
}

function packageFiles(root) {
  const record = readFileSync(path.join(root, 'node_modules/.package-lock.json'), 'utf8');
  const entries = [];
  for (const [folder, facts] of Object.entries(JSON.parse(record).packages)) {
    const isOurs = !folder.startsWith('node_modules/');
    // An optional package of another kind of machine is listed and not there.
    if (facts.dev === true || isOurs || !existsSync(path.join(root, folder))) continue;
    if (facts.link !== true) entries.push(...ofPackage(root, folder));
    else if (isLoaded(folder)) {
      entries.push({ path: folder, link: path.relative(path.dirname(folder), facts.resolved) });
    }
  }
  return entries;
}

/** Whether a program loads it from its folder. The native part of @node-rs/crc32 is a package beside it. */
function isLoaded(folder) {
  const name = folder.slice('node_modules/'.length);
  return [...EXTERNAL_PACKAGES, ...PACKAGES_WITH_SCHEMAS].some(
    (one) => name === one || name.startsWith(`${one}-`),
  );
}

/** Nothing of a package that only declares types. */
function ofPackage(root, folder) {
  const notBelow = (name) => name === 'node_modules';
  const files = filesBelow(root, folder, LOADED, notBelow);
  if (files.every((entry) => entry.path.endsWith('.json'))) return [];
  const licences = filesBelow(root, folder, LICENCE, notBelow);
  return isLoaded(folder) ? [...files, ...licences] : licences;
}

function filesBelow(root, folder, pattern, isLeftOut = () => false) {
  if (!existsSync(path.join(root, folder))) return [];
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((item) => {
    const below = path.join(folder, item.name);
    if (item.isDirectory()) {
      return isLeftOut(item.name) ? [] : filesBelow(root, below, pattern, isLeftOut);
    }
    return item.isFile() && pattern.test(item.name) ? [copy(root, below)] : [];
  });
}

function copy(root, file) {
  const source = path.join(root, file);
  const mode = (lstatSync(source).mode & 0o100) === 0 ? 0o644 : 0o755;
  return { path: file, source, mode };
}
