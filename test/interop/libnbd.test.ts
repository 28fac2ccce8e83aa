/**
 * libnbd through Python: requests and options in forms that no program sends by itself. The sentences
 * stand in python/*.py, one script per subject; each becomes a test here.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { before, describe, it } from 'node:test';
import { nbdServerForSuite } from '#test/support/nbd-server.js';
import { runProgram } from '#test/support/program.js';

const MIB = 1024 * 1024;

/** Debian's libnbd belongs to Debian's Python, and not to another one on the path. */
const PYTHON = '/usr/bin/python3';

const SCRIPT_FOLDER = fileURLToPath(new URL('../../interop/python/', import.meta.url));

interface Outcome {
  readonly sentence: string;
  /** The traceback, or null. */
  readonly failure: string | null;
}

function whyNotHere(): string | false {
  const { status } = spawnSync(PYTHON, ['-c', 'import nbd']);
  return status === 0
    ? false
    : `${PYTHON} has no module nbd (Debian: apt-get install python3-libnbd)`;
}

describe('libnbd', { skip: whyNotHere() }, () => {
  const server = nbdServerForSuite();
  let uris: string[];

  before(async () => {
    const disks = [
      await server().newExport({ sizeBytes: 64 * MIB }),
      await server().newExport({ sizeBytes: MIB, isReadOnly: true }),
      await server().newExport({ sizeBytes: 64 * MIB, blockBytes: 4096 }),
    ];
    uris = disks.map((disk) => disk.uri);
  });

  for (const subject of ['negotiation', 'transmission', 'bad-requests']) {
    it(subject, async (t) => {
      const script = `${SCRIPT_FOLDER}${subject}.py`;
      const { status, stdout, stderr } = await runProgram(PYTHON, ['-B', script, ...uris]);
      const lines = stdout.split('\n').filter((line) => line !== '');
      for (const line of lines) {
        const { sentence, failure } = JSON.parse(line) as Outcome;
        await t.test(sentence, () => {
          assert.equal(failure, null, failure ?? '');
        });
      }
      assert.equal(status, 0, stderr);
      assert(lines.length > 0);
    });
  }
});
