/**
 * What people write: the configuration of both programs and the files of rules. Rules: a text is accepted or
 * refused with ConfigError or RuleFileError, and each refusal says something.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { AccessRules } from '#daemon/config/access-rules.js';
import { ConfigError } from '#daemon/config/config-error.js';
import { DAEMON_SETTINGS, readDaemonConfig } from '#daemon/config/daemon-config.js';
import { NODE_SETTINGS, readNodeConfig } from '#daemon/config/node-config.js';
import { RoleRules } from '#daemon/config/role-rules.js';
import { RuleFileError } from '#daemon/config/rule-file.js';
import { outcomeOf, require, type FuzzTarget } from '../fuzz-target.js';

const BYTES_MAX = 2048;

/** In memory, if the machine has such a folder: a file is written for every input. */
let folder: string | undefined;

function placeOf(input: Buffer): string {
  const parent = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();
  folder ??= fs.mkdtempSync(path.join(parent, 'blkferry-fuzz-'));
  const file = path.join(folder, 'settings.toml');
  fs.writeFileSync(file, input);
  return file;
}

export const CONFIGURATION: FuzzTarget = {
  name: 'configuration',
  bytesMax: BYTES_MAX,
  words: [...Object.keys(DAEMON_SETTINGS), ...Object.keys(NODE_SETTINGS), ' = ', '"64MiB"', '"3s"'],
  seeds: () => [
    Buffer.from('listen = "127.0.0.1:7600"\nsessions_max = 10\nlease_timeout = "30s"\n'),
    Buffer.from('node = "unix:/run/n.sock"\nqueue_depth = 64\n[log]\nlevel = "debug"\n'),
    Buffer.from('session_bytes_max = "64MiB"\ninsecure = true\nlog.level = "info"\n'),
    Buffer.from('a = [1, [2, {b = 1979-05-27T07:32:00Z}]]\nc.d.e = 0x1f\nf = inf\n[[g]]\n'),
  ],
  execute: (input) => {
    const sources = { file: placeOf(input), environment: {}, flags: {} };
    for (const read of [readDaemonConfig, readNodeConfig]) {
      const config = outcomeOf(() => read(sources), ConfigError);
      if (config instanceof ConfigError)
        require(config.problems.every((problem) => problem.length > 5), 'a refusal says nothing');
    }
  },
  close: () => {
    if (folder !== undefined) fs.rmSync(folder, { recursive: true, force: true });
    folder = undefined;
  },
};

export const RULE_FILES: FuzzTarget = {
  name: 'rule-files',
  bytesMax: BYTES_MAX,
  words: [
    '[[rule]]',
    'clients',
    'volumes',
    'rights',
    'role',
    'name',
    '"take-over"',
    '"admin"',
    '*',
  ],
  seeds: () => [
    Buffer.from('[[rule]]\nclients = ["a*"]\nvolumes = ["*"]\nrights = ["read", "write"]\n'),
    Buffer.from('[[rule]]\nname = "x"\nclients = ["spiffe://a/*"]\nrole = "admin"\n'),
  ],
  execute: (input) => {
    const text = input.toString();
    for (const kind of [AccessRules, RoleRules]) {
      const rules = outcomeOf<unknown, RuleFileError>(
        () => kind.fromText(text, 'rules.toml'),
        RuleFileError,
      );
      if (rules instanceof RuleFileError)
        require(rules.problems.every((problem) => problem.length > 5), 'a refusal says nothing');
    }
  },
};
