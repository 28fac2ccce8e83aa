/** Which call of the admin API needs which role: each with its refused neighbour. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  AdminRoles,
  localCaller,
  requireRole,
  type AdminCaller,
} from '#daemon/admin/caller-role.js';
import { RoleRules, ROLES, type Role } from '#daemon/config/role-rules.js';
import { ADMIN_SERVICE } from '#daemon/rpc/service-definition.js';
import { StorageError } from '#daemon/rpc/storage-error.js';

function somebody(role: Role | undefined): AdminCaller {
  return { label: 'x', peer: '', role, reason: '' };
}

function least(method: string, request: object): Role | undefined {
  return ROLES.find((role) => {
    try {
      requireRole(somebody(role), method, request);
      return true;
    } catch (error) {
      assert.ok(error instanceof StorageError && error.kind === 'denied');
      return false;
    }
  });
}

describe('requireRole', () => {
  it('gives each call of the contract to the role it is for', () => {
    const needed = Object.fromEntries(
      Object.keys(ADMIN_SERVICE).map((method) => [method, least(method, {})]),
    );
    assert.deepEqual(needed, {
      Attach: 'operator',
      Detach: 'operator',
      ListAttachments: 'viewer',
      GetAttachment: 'viewer',
      FailNow: 'operator',
      RetryNow: 'operator',
      GetDaemon: 'viewer',
    });
  });
  it('gives what can lose data or take it from others to admins alone', () => {
    assert.equal(least('Attach', { takeOver: true }), 'admin');
    assert.equal(least('Attach', { standby: true }), 'admin');
    assert.equal(least('Detach', { force: true }), 'admin');
  });
  it('gives a call that it does not know to admins alone', () => {
    assert.equal(least('SomethingNew', {}), 'admin');
  });
  it('gives nothing to whoever has no role', () => {
    assert.throws(() => {
      requireRole(somebody(undefined), 'GetDaemon', {});
    }, /x has no role on this daemon/);
  });
});

describe('AdminRoles', () => {
  const roles = new AdminRoles(
    RoleRules.fromText('[[rule]]\nclients=["*"]\nrole="viewer"\n', 'file'),
  );
  it('knows nobody without a certificate, whatever the rules say', () => {
    assert.equal(roles.callerOf({ kind: 'plain', peer: '10.0.0.1:1' }).role, undefined);
  });
  it('knows nobody by a certificate without names', () => {
    const nameless = { kind: 'certificate', names: [], subject: 'CN=x', peer: '' } as const;
    assert.equal(roles.callerOf(nameless).role, undefined);
  });
  it("lets whoever may open the daemon's own socket do everything", () => {
    requireRole(localCaller(''), 'Detach', { force: true });
  });
});
