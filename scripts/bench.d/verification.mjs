/** Before anything is timed: a target that does not keep data is not worth a number. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { BenchFailure } from './bench-failure.mjs';
import { run } from './program.mjs';

/** Copies the source in and out again; the target is then also filled. @throws BenchFailure on a difference */
export async function verifyTarget(target, source, folder) {
  const copy = path.join(folder, 'copy');
  try {
    await run('nbdcopy', ['--flush', source, target.uri]);
    await run('nbdcopy', [target.uri, copy]);
    // Knows holes, and compares what is in them with zeroes; `cmp` would read gigabytes of them.
    await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', source, copy]);
  } catch (error) {
    throw new BenchFailure(`${target.title} did not return what was written: ${error.message}`);
  } finally {
    rmSync(copy, { force: true });
  }
}
