/** Goal: rules only give, each right what its comment says, and a file with a mistake gives nothing at all. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AccessRules, VOLUME_RIGHTS, type Wanted } from '#daemon/config/access-rules.js';
import { RoleRules } from '#daemon/config/role-rules.js';
import { RULES_MAX, RULE_FILE_BYTES_MAX, RuleFileError } from '#daemon/config/rule-file.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const EXAMPLES = fileURLToPath(new URL('../../../../scripts/examples/', import.meta.url));

function rules(text: string): AccessRules {
  return AccessRules.fromText(text, 'access.toml');
}

/** A rule for the client c and the volumes v*, with these rights. */
function giving(...rights: string[]): AccessRules {
  return rules(`[[rule]]\nclients=["c"]\nvolumes=["v*"]\nrights=${JSON.stringify(rights)}`);
}

function allowed(access: AccessRules): Wanted[] {
  const all: Wanted[] = ['see', ...VOLUME_RIGHTS];
  return all.filter((wanted) => access.decide(['c'], 'v1', wanted).allowed);
}

function problemsOf(text: string): readonly string[] {
  try {
    rules(text);
  } catch (error) {
    assert.ok(error instanceof RuleFileError);
    return error.problems;
  }
  return assert.fail('it was accepted');
}

describe('rights of a client on a volume', () => {
  it('bring with them what they need', () => {
    assert.deepEqual(allowed(giving('read')), ['see', 'read']);
    assert.deepEqual(allowed(giving('write')), ['see', 'read', 'write']);
    assert.deepEqual(allowed(giving('take-over')), ['see', 'read', 'write', 'take-over']);
  });

  it('to administer give nothing of its content', () => {
    assert.deepEqual(allowed(giving('administer')), ['see', 'administer']);
    assert.deepEqual(allowed(giving('administer', 'read')), ['see', 'read', 'administer']);
  });

  it('are the sum of all rules that fit', () => {
    const access = rules(`
      [[rule]]
      clients = ["c"]
      volumes = ["v1"]
      rights = ["read"]
      [[rule]]
      name = "makers"
      clients = ["x", "*"]
      volumes = ["*"]
      rights = ["administer"]`);
    assert.deepEqual(allowed(access), ['see', 'read', 'administer']);
    assert.deepEqual(access.decide(['c'], 'v1', 'administer'), {
      allowed: true,
      reason: 'rule 2 (makers) gives administer on * to *',
    });
  });

  it('are refused with the reason: unknown client, other volume, other right', () => {
    const access = giving('read');
    const reason = (client: string, volume: string, wanted: Wanted): string =>
      access.decide([client], volume, wanted).reason;
    assert.equal(reason('d', 'v1', 'read'), 'no rule names this client');
    assert.equal(reason('c', 'w1', 'read'), 'no rule that names this client is for this volume');
    assert.equal(
      reason('c', 'v1', 'write'),
      'the rules for this client and volume give read, not write',
    );
    assert.equal(access.decide([], 'v1', 'see').allowed, false);
  });

  it('on a volume that is not there has only who has them on all', () => {
    assert.equal(giving('read').decide(['c'], undefined, 'read').allowed, false);
    const all = rules('[[rule]]\nclients=["c"]\nvolumes=["w","*"]\nrights=["read"]');
    assert.equal(all.decide(['c'], undefined, 'read').allowed, true);
    assert.equal(all.decide(['c'], undefined, 'write').allowed, false);
  });

  it('of any kind on any volume make a client known to the node', () => {
    assert.deepEqual(giving('read').knows(['x', 'C']), {
      allowed: true,
      reason: 'rule 1 names it',
    });
    assert.equal(giving('read').knows(['x']).allowed, false);
  });
});

describe('a file of rules', () => {
  it('as the examples are, can be read', () => {
    const node = AccessRules.fromFile(path.join(EXAMPLES, 'node-access.toml'));
    const may = (client: string, volume: string, wanted: Wanted): boolean =>
      node.decide([client], volume, wanted).allowed;
    assert.ok(may('dom0-a.example.org', 'vm-1', 'write'));
    assert.ok(!may('dom0-a.example.org', 'vm-1', 'take-over'));
    assert.ok(!may('dom0-a.example.org', 'secrets', 'see'));
    assert.ok(may('backup.example.org', 'secrets', 'read'));
    assert.ok(may('spiffe://example.org/operator/eve', 'vm-1', 'administer'));
    const daemon = RoleRules.fromFile(path.join(EXAMPLES, 'admin-access.toml'));
    assert.equal(daemon.roleOf(['monitor-1.example.org']).role, 'viewer');
    assert.equal(daemon.roleOf(['dom0-a.example.org']).role, undefined);
  });

  it('is refused as a whole, with every mistake and its place', () => {
    const problems = problemsOf(`
      [[rule]]
      clients = []
      volumes = ["v", ""]
      rights = ["reed"]
      [[rule]]
      clients = ["c"]
      volumes = ["v"]
      right = ["read"]`);
    assert.deepEqual(problems, [
      'rule 1: clients: the list is empty: the rule would fit nobody; write "*" for everything',
      'rule 1: volumes.1: a pattern is empty; write "*" for every name',
      'rule 1: rights.0: "reed" is no right; there are read, write, take-over, administer',
      'rule 2: rights: Invalid input: expected array, received undefined',
      'rule 2: Unrecognized key: "right"',
    ]);
  });

  it('is refused when it has no rule, as after a write that was cut short', () => {
    for (const text of ['', '# only a comment\n', 'rule = []'])
      assert.deepEqual(problemsOf(text), ['there is no [[rule]]: nobody could do anything']);
  });

  it('is refused when it has something else in it, or is no TOML', () => {
    assert.deepEqual(problemsOf('rules = 1'), [
      'unknown: rules; a file of rules has [[rule]] only',
    ]);
    assert.match(problemsOf('[[rule]\n').join(), /^line 1, column \d+: /);
  });

  it('may have as many rules as the limit, and not one more', () => {
    const rule = '[[rule]]\nclients=["c"]\nvolumes=["v"]\nrights=["read"]\n';
    assert.equal(rules(rule.repeat(RULES_MAX)).rules.length, RULES_MAX);
    assert.deepEqual(problemsOf(rule.repeat(RULES_MAX + 1)), [
      `${RULES_MAX + 1} rules, at most ${RULES_MAX} are possible`,
    ]);
  });

  it('is refused when every user may change it, when it is missing and when it is huge', () => {
    const file = path.join(temporaryFolder(), 'access.toml');
    assert.throws(() => AccessRules.fromFile(file), {
      message: `${file}: there is no such file`,
    });
    fs.writeFileSync(file, '[[rule]]\nclients=["c"]\nvolumes=["v"]\nrights=["read"]\n');
    fs.chmodSync(file, 0o666);
    assert.throws(() => AccessRules.fromFile(file), {
      message: `${file}: every user of this machine may change it; chmod o-w ${file}`,
    });
    fs.chmodSync(file, 0o644);
    assert.equal(AccessRules.fromFile(file).rules.length, 1);
    fs.truncateSync(file, RULE_FILE_BYTES_MAX + 1);
    assert.throws(() => AccessRules.fromFile(file), /bytes are more than a file of rules can have/);
  });
});

describe('the role of a client', () => {
  const roles = RoleRules.fromText(
    `[[rule]]
     clients = ["*.example.org"]
     role = "viewer"
     [[rule]]
     name = "team"
     clients = ["a.example.org"]
     role = "admin"
     [[rule]]
     clients = ["a.*"]
     role = "operator"`,
    'roles.toml',
  );

  it('is the highest that a rule gives', () => {
    assert.deepEqual(roles.roleOf(['a.example.org']), {
      role: 'admin',
      reason: 'rule 2 (team) gives admin to a.example.org',
    });
    assert.equal(roles.roleOf(['b.example.org']).role, 'viewer');
    assert.equal(roles.roleOf(['a.example.net']).role, 'operator');
  });

  it('is none where no rule names it', () => {
    assert.deepEqual(roles.roleOf(['b.example.net']), {
      role: undefined,
      reason: 'no rule names this client',
    });
  });

  it('must be one of three', () => {
    assert.throws(() => RoleRules.fromText('[[rule]]\nclients=["c"]\nrole="root"', 'r'), {
      message: 'r: rule 1: role: "root" is no role; there are viewer, operator, admin',
    });
  });
});
