/** A folder of the test's own, removed afterwards also when the test fails. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';

/** Call it inside a suite or a test file; the folder lives until that ends. */
export function temporaryFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blkferry-test-'));
  after(() => {
    fs.rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}
