/**
 * What an installation puts beside its own folder: names on the PATH, units, rules, the block script,
 * settings, completions, documents. An entry is { path as the installed system sees it, content | link,
 * mode, isSettings }.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { InstallFailure } from './install-failure.mjs';
import { programLinks } from './program-files.mjs';

const DOCUMENTS = ['README.md', 'CHANGELOG.md', 'SECURITY.md', 'LICENSE'];

/** So that a program asked by somebody who is not root answers as it would the system's services. */
const SYSTEM_FOLDERS = {
  XDG_RUNTIME_DIR: '/run',
  XDG_STATE_HOME: '/var/lib',
  XDG_DATA_HOME: '/var/lib',
};

/** @param options of the command line */
export function systemFiles(root, node, places, options) {
  return [
    ...programLinks().map(([name, file]) => ({
      path: path.join(places.bin, name),
      link: path.relative(places.bin, path.join(places.program, file)),
    })),
    ...(options.withSystemd ? systemdFiles(root, places) : []),
    ...(options.withUdev ? kernelFiles(root, places) : []),
    ...(options.withXen ? xenFiles(root, places) : []),
    ...settings(root, node, places),
    ...completions(root, node, places),
    ...DOCUMENTS.map((name) => copyTo(places.documents, path.join(root, name))),
  ];
}

function systemdFiles(root, places) {
  const folder = path.join(root, 'scripts/systemd');
  const words = {
    BINDIR: places.bin,
    DOCDIR: places.documents,
    SYSUSERSDIR: places.users,
  };
  return readdirSync(folder)
    .sort()
    .map((name) => {
      const target = name.endsWith('.service') ? places.units : places.users;
      const text = readFileSync(path.join(folder, name), 'utf8');
      const content = text.replace(/@([A-Z]+)@/g, (_match, word) => words[word]);
      return { path: path.join(target, name), content, mode: 0o644 };
    });
}

function kernelFiles(root, places) {
  return [
    ...allIn(path.join(root, 'kmod/udev'), /\.rules$/, places.udevRules),
    ...allIn(path.join(root, 'kmod/modprobe.d'), /\.conf$/, places.modprobe),
    ...allIn(path.join(root, 'kmod/modules-load.d'), /\.conf$/, places.modulesLoad),
  ];
}

function xenFiles(root, places) {
  const content = blockScript(path.join(root, 'scripts/xen/block-blkferry'), places);
  return [{ path: path.join(places.xenScripts, 'block-blkferry'), content, mode: 0o755 }];
}

/** With the path of the command as it is installed; Xen starts scripts with a PATH of its own. */
export function blockScript(file, places) {
  const command = path.join(places.bin, 'blkferry');
  return readFileSync(file, 'utf8').replaceAll('/usr/bin/blkferry', command);
}

/** Every setting with its default, all of them comments: what the programs say of themselves. */
function settings(root, node, places) {
  return ['blkferryd', 'blkferry-node'].map((name) => ({
    path: path.join(places.settings, `${name}.toml`),
    content: answerOf(root, node, name, ['--print-config']),
    mode: 0o644,
    isSettings: true,
  }));
}

function completions(root, node, places) {
  return Object.entries(places.completions).map(([shell, target]) => ({
    path: target,
    content: answerOf(root, node, 'blkferry', ['completion', shell]),
    mode: 0o644,
  }));
}

/** What a program of the checkout prints. */
function answerOf(root, node, name, words) {
  const script = path.join(root, `daemon/dist/program/${name}.js`);
  const { status, stdout, stderr } = spawnSync(node, [script, ...words], {
    encoding: 'utf8',
    env: { ...process.env, ...SYSTEM_FOLDERS },
  });
  if (status === 0) return stdout;
  throw new InstallFailure(
    `${name} ${words.join(' ')} failed, so this build does not work: ${reasonIn(stderr)}`,
  );
}

/** The line of a stack trace that says what was wrong. */
function reasonIn(stderr) {
  const lines = stderr.trim().split('\n');
  return lines.find((line) => /^\w*Error/.test(line)) ?? lines[0];
}

function allIn(folder, pattern, target) {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => pattern.test(name));
  return names.sort().map((name) => copyTo(target, path.join(folder, name)));
}

function copyTo(folder, source) {
  return {
    path: path.join(folder, path.basename(source)),
    content: readFileSync(source),
    mode: 0o644,
  };
}
