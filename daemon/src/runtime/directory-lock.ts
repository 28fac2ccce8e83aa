/** A directory that only one process of its kind may use at a time. */
import fs from 'node:fs';
import path from 'node:path';
import { lockExclusive } from 'blkferry-kernel';

/**
 * Makes the directory (mode 0700) if needed and takes its lock, which ends with the process.
 * @param program who uses it, and `setting` how to choose another, for the message
 * @returns gives the lock up
 * @throws Error with a sentence that names the other's pid
 */
export function lockDirectory(directory: string, program: string, setting: string): () => void {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = path.join(directory, 'lock');
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  if (!lockExclusive(fd)) {
    const pid = fs.readFileSync(fd, 'utf8').trim();
    fs.closeSync(fd);
    throw new Error(
      `another ${program} (pid ${pid === '' ? 'unknown' : pid}) uses ${directory}; stop it, or choose another directory with ${setting}`,
    );
  }
  fs.ftruncateSync(fd, 0);
  fs.writeSync(fd, `${process.pid}\n`, 0);
  return () => {
    fs.closeSync(fd);
  };
}
