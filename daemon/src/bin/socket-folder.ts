/** The folder in which a socket is made. */
import fs from 'node:fs';
import path from 'node:path';

/** Only its owner may look inside if it has to be made. @throws Error that names the setting */
export function makeFolderOf(socket: string, setting: string): void {
  try {
    fs.mkdirSync(path.dirname(socket), { recursive: true, mode: 0o700 });
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(`${message}; choose another place with ${setting}`, { cause });
  }
}
