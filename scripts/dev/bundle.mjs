#!/usr/bin/env node
/**
 * Makes one file of each program: daemon/dist/bin/X.js with everything it imports becomes daemon/dist/program/X.js.
 * Reading some four hundred small files took most of a program's start, and a start is a pause: a guest that
 * is created starts `blkferry` two times, and a daemon that comes back keeps its guests waiting.
 *
 * usage: scripts/dev/bundle.mjs        after tsc -b
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

export const PROGRAMS = ['blkferry', 'blkferryd', 'blkferry-node'];

/** Run by threads of a program, which finds them beside itself. */
export const THREADS = ['blkferryd-worker', 'blkferry-node-worker'];

/** Stay packages of their own: two have native code, bunyan tries the third and does without. */
export const EXTERNAL_PACKAGES = ['@node-rs/crc32', 'blkferry-kernel', 'dtrace-provider'];

/** Their schemas lie beside their code, which looks for them there. */
export const PACKAGES_WITH_SCHEMAS = ['grpc-health-check', '@grpc/reflection'];

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What CommonJS packages find around them, in a file that is none. */
const BANNER = `import { createRequire as makeRequire } from 'node:module';
const require = makeRequire(import.meta.url);`;

/** @returns the programs that have changed */
export async function bundlePrograms() {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [...PROGRAMS, ...THREADS].map((name) => `daemon/dist/bin/${name}.js`),
    outdir: 'daemon/dist/program',
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    external: EXTERNAL_PACKAGES,
    banner: { js: BANNER },
    logLevel: 'warning',
    plugins: [schemaPlace],
  });
  return outputFiles.filter(isNew).map(({ path, contents }) => {
    mkdirSync(join(path, '..'), { recursive: true });
    // In one step: another test may be starting it.
    writeFileSync(`${path}.new`, contents);
    chmodSync(`${path}.new`, 0o755);
    renameSync(`${path}.new`, path);
    return path;
  });
}

function isNew({ path, contents }) {
  return !existsSync(path) || !readFileSync(path).equals(contents);
}

/** In a bundle `__dirname` is nothing; for these packages it becomes the folder that the file came from. */
const schemaPlace = {
  name: 'schema-place',
  setup(builder) {
    const filter = new RegExp(
      `/node_modules/(${PACKAGES_WITH_SCHEMAS.join('|')})/(.*)/[^/]+\\.js$`,
    );
    builder.onLoad({ filter }, ({ path }) => {
      const [, name, folder] = filter.exec(path);
      const place = `require('node:path').join(require.resolve('${name}/package.json'), '../${folder}')`;
      return { contents: readFileSync(path, 'utf8').replaceAll('__dirname', place), loader: 'js' };
    });
  },
};

if (import.meta.url === pathToFileURL(process.argv[1]).href) await bundlePrograms();
