/**
 * What the doctor's tests share: a machine without a fault, and sentences about what the doctor says of it.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { BLOCK_SCRIPT } from './fake-machine.js';
import { FakeSurroundings, type Outcome } from './fake-surroundings.js';

export const OWN_SCRIPT = new URL('../../../../scripts/xen/block-blkferry', import.meta.url);

const folder = temporaryFolder();

export class DoctorWorld extends FakeSurroundings {
  constructor() {
    super();
    // One line for each finding.
    this.stdoutColumns = undefined;
    this.machine.files.set(BLOCK_SCRIPT, readFileSync(OWN_SCRIPT, 'utf8'));
  }

  /** Runs it with settings of the test's; what an earlier run said is forgotten. */
  doctor(settings = '', words = ''): Promise<Outcome> {
    this.stdoutChunks.length = 0;
    const file = path.join(folder, 'blkferryd.toml');
    writeFileSync(file, settings);
    this.machine.files.set(file, settings);
    return this.run(`doctor --config ${file} ${words}`);
  }

  async saysProblem(sentence: RegExp, settings?: string): Promise<void> {
    const { exitCode, stdout } = await this.doctor(settings);
    assert.match(stdout, sentence);
    assert.match(stdout, /\n1 problem/);
    assert.equal(exitCode, 1);
  }

  async saysWarning(sentence: RegExp, settings?: string): Promise<void> {
    const { exitCode, stdout } = await this.doctor(settings);
    assert.match(stdout, sentence);
    assert.match(stdout, /\n1 warning\n$/);
    assert.equal(exitCode, 0, stdout);
  }

  async saysNote(sentence: RegExp, settings?: string): Promise<void> {
    const { exitCode, stdout } = await this.doctor(settings);
    assert.match(stdout, sentence);
    assert.match(stdout, /\nall is well\n$/);
    assert.equal(exitCode, 0);
  }
}
