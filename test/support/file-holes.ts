/** Whether the node finds the holes of files in the folder where tests put theirs. */
import fs from 'node:fs';
import os from 'node:os';
import { isTrustedWithHoles } from '#daemon/storage-node/backend/file/hole-finder.js';

/** @returns why not, for `skip` */
export function whyHolesAreUnknown(): string | false {
  const fd = fs.openSync(os.tmpdir(), 'r');
  const isTrusted = isTrustedWithHoles(fd);
  fs.closeSync(fd);
  return isTrusted ? false : `the file system of ${os.tmpdir()} is none that is trusted with holes`;
}
