/**
 * Which daemon this is: a name of the state directory, made once. Devices of the kernel carry it, so that
 * a daemon knows its own from those of another one on the same machine.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const FORM = /^[0-9a-f-]{36}$/;

/** @throws Error with a sentence */
export function readDaemonIdentity(stateDirectory: string): string {
  const file = path.join(stateDirectory, 'daemon-id');
  try {
    const known = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim() : '';
    if (FORM.test(known)) return known;
    if (known !== '') throw new Error(`it holds "${known.slice(0, 50)}"`);
    const made = randomUUID();
    fs.writeFileSync(`${file}.new`, `${made}\n`, { mode: 0o600, flush: true });
    fs.renameSync(`${file}.new`, file);
    return made;
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(
      `${file}, the name of this daemon, cannot be used: ${message}; see to its permissions, or remove it if no device is attached`,
      { cause },
    );
  }
}
