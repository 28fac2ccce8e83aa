/** The version of this installation, from its package.json. */
import { readFileSync } from 'node:fs';
import { PROGRAM_ROOT } from './program-root.js';

const PACKAGE_JSON = new URL('package.json', PROGRAM_ROOT);

export const VERSION: string = (
  JSON.parse(readFileSync(PACKAGE_JSON, 'utf8')) as { version: string }
).version;
