/**
 * The checkout as the checks see it: every file that git tracks or would track, its text, and for
 * TypeScript and JavaScript its imports and functions. The only file of tidy that reads the disk.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readModule } from './module-facts.mjs';

/** What is never ours, where there is no git to ask (a released archive). */
const FOREIGN_FOLDERS = new Set(['node_modules', 'dist', 'build', '.git', 'tmp']);

/**
 * @returns {files, byPath}: files are {path, text, lines, module}, sorted by path; `module` is what
 *   module-facts.mjs found, and undefined for files of other kinds
 */
export function readSourceTree(rootDirectory) {
  const files = [];
  for (const path of listPaths(rootDirectory)) {
    const bytes = readFileSync(join(rootDirectory, path));
    if (bytes.includes(0)) continue;
    const text = bytes.toString('utf8');
    const lines = text.replace(/\n$/, '').split('\n');
    const module = /\.(ts|mjs|js)$/.test(path) ? readModule(path, text) : undefined;
    files.push({ path, text, lines, module });
  }
  return { files, byPath: new Map(files.map((file) => [file.path, file])) };
}

function listPaths(rootDirectory) {
  const isFile = (path) =>
    statSync(join(rootDirectory, path), { throwIfNoEntry: false })?.isFile() === true;
  const names = existsSync(join(rootDirectory, '.git'))
    ? listByGit(rootDirectory)
    : listByWalking(rootDirectory);
  return names.filter(isFile).sort();
}

function listByGit(rootDirectory) {
  const words = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const output = execFileSync('git', words, { cwd: rootDirectory, encoding: 'utf8' });
  return [...new Set(output.split('\0').filter((path) => path !== ''))];
}

function listByWalking(rootDirectory, folder = '') {
  const paths = [];
  for (const entry of readdirSync(join(rootDirectory, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory() && !FOREIGN_FOLDERS.has(entry.name)) {
      paths.push(...listByWalking(rootDirectory, path));
    } else if (entry.isFile()) {
      paths.push(path);
    }
  }
  return paths;
}
