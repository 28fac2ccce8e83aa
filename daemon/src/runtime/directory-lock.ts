/** A directory that only one process of its kind may use at a time, and nobody but its owner at all. */
import fs from 'node:fs';
import path from 'node:path';
import { lockExclusive } from 'blkferry-kernel';

/**
 * Makes the directory (mode 0700) if needed and takes its lock, which ends with the process.
 * @param program who uses it, and `setting` how to choose another, for the message
 * @returns gives the lock up
 * @throws Error with a sentence: the directory cannot be used, is another user's, or is in use (by which pid)
 */
export function lockDirectory(directory: string, program: string, setting: string): () => void {
  const fd = openLockFile(directory, setting);
  if (!lockExclusive(fd)) {
    const pid = fs.readFileSync(fd, 'utf8').trim();
    fs.closeSync(fd);
    throw new Error(
      `another ${program} (pid ${pid === '' ? 'unknown' : pid}) uses ${directory}; stop it, or choose another directory with ${setting}`,
    );
  }
  // In this order it needs no space, and a program can start although its disk is full.
  fs.ftruncateSync(fd, fs.writeSync(fd, `${process.pid}\n`, 0));
  return () => {
    fs.closeSync(fd);
  };
}

function openLockFile(directory: string, setting: string): number {
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    requireOwner(directory);
    return fs.openSync(
      path.join(directory, 'lock'),
      fs.constants.O_RDWR | fs.constants.O_CREAT,
      0o600,
    );
  } catch (error) {
    throw new Error(
      `${directory} cannot be used: ${(error as Error).message}; choose another directory with ${setting}`,
      { cause: error },
    );
  }
}

/**
 * What must not be: writing and looking, for anybody but the owner. Passing through to a socket whose own mode lets
 * somebody in (x) may be.
 */
const OPEN_BITS = 0o066;

/** In a place that everybody may write to, such as /tmp, another user could have made it first. */
function requireOwner(directory: string): void {
  const userId = process.getuid?.();
  const { uid, mode } = fs.statSync(directory);
  if (uid !== userId && userId !== 0) throw new Error(`it belongs to user ${uid}`);
  const openBits = mode & OPEN_BITS;
  if (openBits === 0) return;
  const who = (openBits & 0o007) === 0 ? 'its group' : 'everybody';
  const what = (openBits & 0o022) === 0 ? 'look into' : 'write to';
  throw new Error(
    `${who} may ${what} it (mode ${modeText(mode)}): chmod ${modeText(mode & ~OPEN_BITS)} ${directory}`,
  );
}

function modeText(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}
