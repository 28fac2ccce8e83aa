/**
 * No core dump of a process that holds guests' data: it would lie on a disk, readable for whoever collects such
 * files. The units limit its length to nothing; a handler of dumps need not keep to that, and by hand there is
 * no unit. The mark ends with execve, so it is set after a process has begun anew (io-flusher.ts).
 */
import { forbidCoreDumps } from 'blkferry-kernel';
import type { WarningLog } from './repeated-warnings.js';

/** Without the add-on the process goes on, and says so: a missing mark is no reason to keep guests waiting. */
export function keepMemoryPrivate(log: WarningLog): void {
  try {
    forbidCoreDumps();
  } catch (error) {
    log.warn(
      { event: 'core_dumps_allowed' },
      `a crash may leave guests' data in a core dump: ${(error as Error).message}`,
    );
  }
}
