/** Which client may open which export: the rules as a file has them, and each decision with its refused neighbour. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ExportRules } from '#daemon/config/export-rules.js';
import type { RuleFileError } from '#daemon/config/rule-file.js';

const RULES = ExportRules.fromText(
  `
[[rule]]
name = "backup"
clients = ["backup.test"]
exports = ["*"]
right = "read"

[[rule]]
clients = ["dn:CN=vm-1", "psk:vm-1"]
exports = ["vm-1-*"]
right = "write"

[[rule]]
clients = ["backup.test"]
exports = ["vault"]
right = "write"
`,
  'rules',
);

describe('ExportRules', () => {
  it('gives the highest right of all rules that fit, and names the rule', () => {
    assert.deepEqual(RULES.decide(['backup.test'], 'vm-1-root'), {
      right: 'read',
      reason: 'rule 1 (backup) gives read on * to backup.test',
    });
    assert.deepEqual(RULES.decide(['backup.test'], 'vault'), {
      right: 'write',
      reason: 'rule 3 gives write on vault to backup.test',
    });
  });

  it('knows a client by any of its names', () => {
    assert.equal(RULES.decide(['vm.test', 'dn:CN=vm-1'], 'vm-1-root').right, 'write');
    assert.equal(RULES.decide(['psk:vm-1'], 'vm-1-root').right, 'write');
    assert.equal(RULES.decide(['psk:vm-10'], 'vm-1-root').right, undefined);
    assert.equal(RULES.decide(['vm-1'], 'vm-1-root').right, undefined);
  });

  it('gives nothing that no rule gives', () => {
    assert.deepEqual(RULES.decide(['psk:vm-1'], 'vm-2-root'), {
      right: undefined,
      reason: 'no rule that names this client is for this export',
    });
    assert.deepEqual(RULES.decide([], 'vault'), {
      right: undefined,
      reason: 'no rule names this client',
    });
  });

  it('refuses a file with a right that there is not, and one without rules', () => {
    const rule = '[[rule]]\nclients = ["*"]\nexports = ["*"]\nright = "administer"\n';
    assert.throws(
      () => ExportRules.fromText(rule, 'f'),
      (error: RuleFileError) =>
        /"administer" is no right; there are read, write/.test(error.message),
    );
    assert.throws(() => ExportRules.fromText('', 'f'), /there is no \[\[rule\]\]/);
  });
});
