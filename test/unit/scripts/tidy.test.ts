/**
 * scripts/dev/tidy.mjs against a small tree that is in order, and against the same tree with one fault
 * planted in it: each kind of fault must be found at its place, and be the only one found.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const checkout = new URL('../../../../', import.meta.url);

type Tree = Readonly<Record<string, string>>;

const README = '# What this is for\n';

function source(...lines: string[]): string {
  return ['/** What this file is for. */', ...lines, ''].join('\n');
}

/** Text that tidy must not find in this file, so it is written in pieces. */
function pieces(...parts: string[]): string {
  return parts.join('');
}

/** The smallest tree with every folder that tidy asks for, and nothing to complain about. */
const ORDERLY: Tree = {
  'package.json': JSON.stringify({
    version: '1.2.3',
    workspaces: ['daemon/nbd-server-helpers'],
    dependencies: { bunyan: '2.0.5' },
  }),
  'daemon/README.md': README,
  'daemon/nbd-server-helpers/README.md': README,
  'daemon/nbd-server-helpers/package.json': JSON.stringify({ version: '1.2.3' }),
  'daemon/nbd-server-helpers/src/index.ts': source("export { request } from './request.js';"),
  'daemon/nbd-server-helpers/src/request.ts': source('export const request = 1;'),
  'daemon/src/bin/README.md': README,
  'daemon/src/bin/blkferryd.ts': source(
    "import { volume } from '../volume/volume.js';",
    "import { logger } from '../runtime/logger.js';",
    'logger(volume);',
  ),
  'daemon/src/runtime/README.md': README,
  'daemon/src/runtime/logger.ts': source("export { createLogger as logger } from 'bunyan';"),
  'daemon/src/volume/README.md': README,
  'daemon/src/volume/volume.ts': source(
    "import { block } from '../block/block-request.js';",
    'export const volume = block;',
  ),
  'daemon/src/block/README.md': README,
  'daemon/src/block/block-request.ts': source('export const block = 1;'),
  'kmod/README.md': README,
  'proto/README.md': README,
  'proto/blkferry/storage/v1/storage.proto': 'message A {}\n'.repeat(301),
  'scripts/README.md': README,
  'test/README.md': README,
  'test/unit/volume.test.ts': source(
    "import { volume } from '#daemon/volume/volume.js';",
    'volume;',
  ),
};

interface TidyResult {
  readonly fileCount: number;
  readonly findings: readonly { path: string; line: number; text: string }[];
}

const { checkTree } = (await import(
  new URL('scripts/dev/tidy.d/check-tree.mjs', checkout).href
)) as { checkTree: (rootDirectory: string) => TidyResult };

/** @returns the findings as tidy prints them */
function findingsIn(rootDirectory: string): string[] {
  return checkTree(rootDirectory).findings.map(
    ({ path, line, text }) => `${path}:${line}: ${text}`,
  );
}

function withTree<Result>(tree: Tree, action: (directory: string) => Result): Result {
  const directory = mkdtempSync(join(tmpdir(), 'blkferry-tidy-'));
  try {
    for (const [path, text] of Object.entries(tree)) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), text);
    }
    return action(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

interface Fault {
  readonly name: string;
  readonly plant: Tree;
  /** Each finding begins with the path and line here, and contains the words. */
  readonly place: string;
  readonly words: string;
  /** How many findings the fault leads to; 1 if absent. */
  readonly count?: number;
}

/** A file that a test uses, so that only what is wrong in it is found. */
function used(path: string, text: string): Tree {
  const module = path.replace(/^daemon\/src\//, '#daemon/').replace(/\.ts$/, '.js');
  const program = source(
    "import '../volume/volume.js';",
    "import '../runtime/logger.js';",
    `import '${module}';`,
  );
  return { [path]: text, 'daemon/src/bin/blkferryd.ts': program };
}

const LONG_FUNCTION = ['export function long(): void {', ...Array<string>(70).fill(''), '}'];

const FAULTS: readonly Fault[] = [
  {
    name: 'an import against the direction of the rooms',
    plant: {
      'daemon/src/block/block-request.ts': source(
        "import { logger } from '../runtime/logger.js';",
        'export const block = logger;',
      ),
    },
    place: 'daemon/src/block/block-request.ts:2',
    words: 'block must not import runtime; it may import nothing of ours',
  },
  {
    name: 'an import of more than the part of a room that is open to another',
    plant: {
      'daemon/src/transport/README.md': README,
      'daemon/src/transport/storage-pool.ts': source('export const pool = 1;'),
      'daemon/src/volume/volume.ts': source(
        "import { pool } from '../transport/storage-pool.js';",
        "import { block } from '../block/block-request.js';",
        'export const volume = [pool, block];',
      ),
    },
    place: 'daemon/src/volume/volume.ts:2',
    words: 'volume may import only storage-client.ts of transport',
  },
  {
    name: 'a package in a room it is not meant for',
    plant: {
      'daemon/src/volume/volume.ts': source(
        "import { block } from '../block/block-request.js';",
        "import bunyan from 'bunyan';",
        'export const volume = [block, bunyan];',
      ),
    },
    place: 'daemon/src/volume/volume.ts:3',
    words: 'volume must not import the package bunyan; it belongs to runtime',
  },
  {
    name: 'a room that is not in the table',
    plant: {
      ...used('daemon/src/gadgets/gadget.ts', source()),
      'daemon/src/gadgets/README.md': README,
    },
    place: 'daemon/src/gadgets/gadget.ts:1',
    words: 'the room gadgets is not in ROOM_IMPORTS',
    count: 2,
  },
  {
    name: 'an import cycle, also one of types only',
    plant: {
      'daemon/src/block/block-request.ts': source(
        "import type { Facts } from './device-facts.js';",
        'export const block: Facts = 1;',
      ),
      'daemon/src/block/device-facts.ts': source(
        "import { block } from './block-request.js';",
        'export type Facts = typeof block;',
      ),
    },
    place: 'daemon/src/block/block-request.ts:2',
    words: 'import cycle daemon/src/block/block-request.ts -> daemon/src/block/device-facts.ts',
  },
  {
    name: 'a package that package.json does not name',
    plant: {
      'daemon/src/runtime/logger.ts': source(
        "export { createLogger as logger } from 'bunyan';",
        "export { z } from 'zod';",
      ),
    },
    place: 'daemon/src/runtime/logger.ts:3',
    words: 'imports zod, which package.json does not name in dependencies',
  },
  {
    name: 'a package that nobody imports',
    plant: { 'daemon/src/runtime/logger.ts': source('export const logger = 1;') },
    place: 'package.json:1',
    words: 'declares bunyan, which no file imports',
  },
  {
    name: 'a workspace with another version than the root',
    plant: { 'daemon/nbd-server-helpers/package.json': JSON.stringify({ version: '1.2.4' }) },
    place: 'daemon/nbd-server-helpers/package.json:1',
    words: 'has version 1.2.4; the root has 1.2.3',
  },
  {
    name: 'a product file that nobody imports',
    plant: { 'daemon/src/volume/lease.ts': source('export const lease = 1;') },
    place: 'daemon/src/volume/lease.ts:1',
    words: 'nobody uses it',
  },
  {
    name: 'a product file that only a test imports',
    plant: {
      'daemon/src/volume/lease.ts': source('export const lease = 1;'),
      'test/unit/lease.test.ts': source("import '#daemon/volume/lease.js';"),
    },
    place: 'daemon/src/volume/lease.ts:1',
    words: 'only tests use it',
  },
  {
    name: 'a support file that no test imports',
    plant: { 'test/support/fake-clock.ts': source('export const clock = 1;') },
    place: 'test/support/fake-clock.ts:1',
    words: 'no test imports it',
  },
  {
    name: 'a room without a README',
    plant: used('daemon/src/config/quantity.ts', source('export const quantity = 1;')),
    place: 'daemon/src/config/README.md:1',
    words: 'is missing',
  },
  {
    name: 'a document that names a file which is not there',
    plant: { 'daemon/src/volume/README.md': 'See `volume.ts`, then `flush-barrier.ts`.\n' },
    place: 'daemon/src/volume/README.md:1',
    words: 'names flush-barrier.ts, which is not there',
  },
  {
    name: 'a file name that says nothing',
    plant: used('daemon/src/volume/utils.ts', source('export const many = 1;')),
    place: 'daemon/src/volume/utils.ts:1',
    words: '"utils" says nothing',
  },
  {
    name: 'a file name that is not in kebab-case',
    plant: used('daemon/src/volume/replayLog.ts', source('export const log = 1;')),
    place: 'daemon/src/volume/replayLog.ts:1',
    words: 'not in kebab-case',
  },
  {
    name: 'a product file of 301 lines',
    plant: used('daemon/src/volume/lease.ts', source(...Array<string>(300).fill('export {};'))),
    place: 'daemon/src/volume/lease.ts:301',
    words: 'has 301 lines, at most 300 are allowed',
  },
  {
    name: 'a test of 401 lines',
    plant: { 'test/unit/lease.test.ts': source(...Array<string>(400).fill('export {};')) },
    place: 'test/unit/lease.test.ts:401',
    words: 'has 401 lines, at most 400 are allowed',
  },
  {
    name: 'an exception for a file that is short by now',
    plant: { 'proto/blkferry/storage/v1/storage.proto': 'message A {}\n' },
    place: 'proto/blkferry/storage/v1/storage.proto:1',
    words: 'is short now; take it out of LONG_FILES',
  },
  {
    name: 'a function of 72 lines',
    plant: used('daemon/src/volume/lease.ts', source(...LONG_FUNCTION)),
    place: 'daemon/src/volume/lease.ts:2',
    words: 'long has 72 lines, at most 70 are allowed',
  },
  {
    name: 'unfinished work',
    plant: used('daemon/src/volume/lease.ts', source(pieces('// ', 'TO', 'DO: renew it'))),
    place: 'daemon/src/volume/lease.ts:2',
    words: 'finish it',
  },
  {
    name: 'a silenced compiler',
    plant: used('daemon/src/volume/lease.ts', source(pieces('// @ts-', 'ignore'))),
    place: 'daemon/src/volume/lease.ts:2',
    words: 'make the types right',
  },
  {
    name: 'a silenced linter',
    plant: used(
      'daemon/src/volume/lease.ts',
      source(pieces('// eslint-', 'disable', '-next-line')),
    ),
    place: 'daemon/src/volume/lease.ts:2',
    words: 'change the code, or the rule',
  },
  {
    name: 'a test that keeps the others from running',
    plant: { 'test/unit/lease.test.ts': source(pieces('it.', 'only', "('renews', () => {});")) },
    place: 'test/unit/lease.test.ts:2',
    words: 'remove `only`',
  },
  {
    name: 'a file that does not say what it is for',
    plant: used('daemon/src/volume/lease.ts', 'export const lease = 1;\n'),
    place: 'daemon/src/volume/lease.ts:1',
    words: 'does not begin with a comment',
  },
  {
    name: 'a path of one machine',
    plant: { 'scripts/README.md': pieces('Look into ', '/ro', 'ot/notes.\n') },
    place: 'scripts/README.md:1',
    words: 'a path of one machine',
  },
  {
    name: 'a registry of one machine',
    plant: {
      'scripts/README.md': pieces('Packages come from https:', '//npm', '.example.org/.\n'),
    },
    place: 'scripts/README.md:1',
    words: 'a package registry',
  },
];

describe('tidy', () => {
  it('finds nothing in a tree that is in order', () => {
    const result = withTree(ORDERLY, checkTree);
    assert.deepEqual(result, { fileCount: Object.keys(ORDERLY).length, findings: [] });
  });

  for (const fault of FAULTS) {
    it(`finds ${fault.name}`, () => {
      const findings = withTree({ ...ORDERLY, ...fault.plant }, findingsIn);
      assert.equal(findings.length, fault.count ?? 1, findings.join('\n'));
      const finding = findings.find((line) => line.startsWith(`${fault.place}: `));
      assert.ok(finding?.includes(fault.words), findings.join('\n'));
    });
  }

  /** The promises of a README, its table, and a test that keeps one of them. */
  function promises(...rows: string[]): Tree {
    const list = ['## What is promised about your data', '', '1. **Nothing** is lost.', ''];
    return {
      ...ORDERLY,
      'README.md': [README, ...list, '| promise | what | test |', ...rows, ''].join('\n'),
      'test/unit/lease.test.ts': source("it('loses nothing', () => undefined);"),
    };
  }

  it('leaves a promise alone that an existing test proves', () => {
    const tree = promises('| 1 | all of it | `test/unit/lease.test.ts`: loses nothing |');
    assert.deepEqual(withTree(tree, findingsIn), []);
  });

  it('finds a promise without a test, and a test that is not there or says something else', () => {
    const rows = {
      'promise 1 is proved by no test': '| 2 | all | `test/unit/lease.test.ts`: loses nothing |',
      'which is not there': '| 1 | all | `test/unit/gone.test.ts`: loses nothing |',
      'does not say': '| 1 | all | `test/unit/lease.test.ts`: loses much |',
    };
    for (const [words, row] of Object.entries(rows)) {
      const findings = withTree(promises(row), findingsIn);
      assert.ok(
        findings.some((line) => line.startsWith('README.md:') && line.includes(words)),
        findings.join('\n'),
      );
    }
  });

  it('leaves a word inside another word alone', () => {
    const text = source(pieces('export const ', 'TO', 'DOLIST = 1;'));
    const tree = { ...ORDERLY, ...used('daemon/src/volume/lease.ts', text) };
    assert.deepEqual(withTree(tree, findingsIn), []);
  });

  it('prints each finding with its place, and exits with 1', () => {
    const program = fileURLToPath(new URL('scripts/dev/tidy.mjs', checkout));
    const tree = { ...ORDERLY, 'test/unit/lease.test.ts': 'export {};\n' };
    const result = withTree(tree, (directory) =>
      spawnSync(process.execPath, [program, '--root', directory], { encoding: 'utf8' }),
    );
    const lines = result.stdout.trimEnd().split('\n');
    assert.match(lines[0] ?? '', /^test\/unit\/lease\.test\.ts:1: does not begin with a comment/);
    assert.match(lines[1] ?? '', /^tidy: \d+ files, 1 findings$/);
    assert.equal(result.status, 1);
  });

  it('finds nothing in this checkout', () => {
    assert.deepEqual(findingsIn(fileURLToPath(checkout)), []);
  });
});
