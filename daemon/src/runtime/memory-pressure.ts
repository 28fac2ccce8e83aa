/**
 * What keeps a process that plays disks going when memory runs short: its code is not paged out, its data is
 * not swapped out, possibly to a disk it plays; it is not the one that the kernel ends; and it does not wait
 * for write-back (io-flusher.ts). What cannot be had here is left, and told.
 *
 * Data is kept from swap by the cgroup (memory.swap.max, set by the systemd unit), not by locking it: V8
 * discards pages that it does not need, the kernel refuses that for locked ones, and V8 ends the process.
 */
import fs from 'node:fs';
import { isIoFlusher, lockPages } from 'blkferry-kernel';
import type { Logger } from './logger.js';

/** Of -1000 (never) to 1000: after all that is not a service of the machine itself. */
const OOM_SCORE_ADJUSTMENT = -900;

export function standMemoryPressure(logger: Logger): void {
  const checks = [markAsFlusher, lockCode, findSwap, lowerOomScore];
  const left = checks.map(problemOf).filter((problem) => problem !== '');
  const sentence =
    left.length === 0
      ? 'the kernel knows this process as an I/O flusher, its code is locked and its data not swapped'
      : `under memory pressure devices may come to a standstill: ${left.join('; ')}`;
  logger.info({ event: 'memory_pressure_prepared', left }, sentence);
}

function markAsFlusher(): void {
  if (!isIoFlusher()) throw new Error('not marked as I/O flusher (CAP_SYS_RESOURCE, Linux 5.6)');
}

function lockCode(): void {
  try {
    lockAllCode();
  } catch {
    const remedy = 'LimitMEMLOCK=infinity in the systemd unit, ulimit -l by hand';
    throw new Error(`code is not locked (${remedy})`);
  }
}

function lockAllCode(): void {
  for (const line of fs.readFileSync('/proc/self/maps', 'latin1').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ [1-9]/.exec(line);
    if (match === null) continue;
    const [start, end] = [Number(`0x${match[1]}`), Number(`0x${match[2]}`)];
    lockPages(start, end - start);
  }
}

function findSwap(): void {
  const areas = fs.readFileSync('/proc/swaps', 'latin1').trim().split('\n').slice(1);
  if (areas.length === 0) return;
  const cgroup = /^0::(.*)$/m.exec(fs.readFileSync('/proc/self/cgroup', 'latin1'))?.[1] ?? '';
  const limit = `/sys/fs/cgroup${cgroup}/memory.swap.max`;
  if (fs.existsSync(limit) && fs.readFileSync(limit, 'latin1').trim() === '0') return;
  throw new Error('data may be swapped out (MemorySwapMax=0 in the systemd unit prevents it)');
}

function lowerOomScore(): void {
  const file = '/proc/self/oom_score_adj';
  if (Number(fs.readFileSync(file, 'latin1')) <= OOM_SCORE_ADJUSTMENT) return;
  try {
    fs.writeFileSync(file, `${OOM_SCORE_ADJUSTMENT}`);
  } catch {
    throw new Error('the kernel may end this process for its memory (CAP_SYS_RESOURCE)');
  }
}

function problemOf(check: () => void): string {
  try {
    check();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}
