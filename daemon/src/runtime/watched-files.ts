/**
 * Notices that files were replaced, so that certificates and rules are read again without a restart and without
 * anybody sending a signal: programs that renew certificates replace files, and most can do nothing else. The
 * files are looked at now and then, which also works where a folder or a link to it is exchanged.
 */
import fs from 'node:fs';
import type { Clock } from './clock.js';

/** A change is noticed after one or two looks; each costs a stat(2) for each file. */
export const LOOK_INTERVAL_MS = 2000;

/**
 * Calls back when a file has changed, and then has stayed the same for one look: a key and its certificate are two
 * files, and whoever writes them writes one first.
 *
 * @returns ends it
 */
export function watchFiles(
  files: readonly string[],
  clock: Clock,
  onChanged: () => void,
): () => void {
  let told = fingerprint(files);
  let seen = told;
  let cancel = (): void => undefined;
  const look = (): void => {
    const now = fingerprint(files);
    const isSettled = now === seen;
    seen = now;
    if (isSettled && now !== told) {
      told = now;
      onChanged();
    }
    cancel = clock.setTimer(LOOK_INTERVAL_MS, look);
  };
  cancel = clock.setTimer(LOOK_INTERVAL_MS, look);
  return () => {
    cancel();
  };
}

/** Of what the names lead to, links followed. */
function fingerprint(files: readonly string[]): string {
  return files
    .map((file) => {
      try {
        const { dev, ino, size, mtimeMs, ctimeMs } = fs.statSync(file);
        return `${dev}:${ino}:${size}:${mtimeMs}:${ctimeMs}`;
      } catch (error) {
        // Not there, or not to be seen any more: whoever reads it will say why.
        return String((error as NodeJS.ErrnoException).code);
      }
    })
    .join(' ');
}
