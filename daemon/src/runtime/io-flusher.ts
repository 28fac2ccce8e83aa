/**
 * A process that plays a disk must not wait for that disk: the kernel, short of memory, writes dirty pages
 * out, through this very process. Marked as I/O flusher (prctl(2)), its memory is found without that wait.
 *
 * The mark belongs to threads and is inherited by those made afterwards. Node makes its threads before any
 * script runs, so the process marks itself and then begins anew, as the same process.
 */
import { isIoFlusher, replaceProcess, setIoFlusher } from 'blkferry-kernel';
import { hasCapability } from './process-capability.js';

/** Set in the second beginning, so that there is no third. */
const MARK = 'BLKFERRY_IO_FLUSHER';

/** Does not return if the process begins anew. Where the mark cannot be had (kernel before 5.6), goes on without. */
export function becomeIoFlusher(): void {
  if (process.env[MARK] !== undefined || !hasCapability('CAP_SYS_RESOURCE')) return;
  try {
    if (isIoFlusher()) return;
    setIoFlusher(true);
    const environment = Object.entries({ ...process.env, [MARK]: '1' });
    replaceProcess(
      process.execPath,
      [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
      environment.map(([name, value]) => `${name}=${value ?? ''}`),
    );
  } catch {
    // The log is not open yet; what came of it is told there (memory-pressure.ts).
  }
}
