/** Which start of this machine it is: what was not synced to a disk is as it was only within one. */
import fs from 'node:fs';

/** Chosen by Linux at every boot; the same in containers and after a suspension. */
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

/** @throws Error if this machine does not say: nothing can be known of older files then */
export function readBootId(): string {
  return fs.readFileSync(BOOT_ID_FILE, 'utf8').trim();
}
