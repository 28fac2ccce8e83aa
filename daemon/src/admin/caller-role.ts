/**
 * Who may make which call of the admin API. Whoever could open the daemon's own socket may make all of them;
 * over TCP the role counts that the rules give to the names in the caller's certificate
 * (config/role-rules.ts).
 */
import type { Role, RoleRules } from '../config/role-rules.js';
import { reaches } from '../config/role-rules.js';
import type { AttachRequestMessage, DetachRequestMessage } from '../rpc/admin-messages.js';
import type { PeerIdentity } from '../rpc/peer-identity.js';
import { StorageError } from '../rpc/storage-error.js';

export interface AdminCaller {
  /** For logs and sentences. */
  readonly label: string;
  readonly peer: string;
  /** Undefined: none at all. */
  readonly role: Role | undefined;
  /** One clause: why it is this role. */
  readonly reason: string;
}

/** How many names of a certificate a label shows. */
const LABEL_NAMES_MAX = 2;

/** The rules in force; they can be replaced while calls come in. */
export class AdminRoles {
  #rules: RoleRules;

  constructor(rules: RoleRules) {
    this.#rules = rules;
  }

  replaceRules(rules: RoleRules): void {
    this.#rules = rules;
  }

  callerOf(identity: PeerIdentity): AdminCaller {
    const { kind, peer } = identity;
    switch (kind) {
      case 'local':
        return localCaller(peer);
      case 'plain':
        return { label: 'somebody', peer, role: undefined, reason: 'no certificate was shown' };
      case 'certificate': {
        const { names, subject } = identity;
        const label = names.length === 0 ? subject : names.slice(0, LABEL_NAMES_MAX).join(' ');
        return { label, peer, ...this.#rules.roleOf(names) };
      }
    }
  }
}

/** Somebody behind the daemon's own socket. */
export function localCaller(peer: string): AdminCaller {
  return {
    label: 'local',
    peer,
    role: 'admin',
    reason: 'whoever may open the socket may do everything',
  };
}

/** @throws StorageError 'denied' with a sentence for the caller */
export function requireRole(caller: AdminCaller, method: string, request: object): void {
  const { label, role } = caller;
  if (role === undefined) {
    throw new StorageError(
      'denied',
      `${label} has no role on this daemon; its admin.access_file says who has which`,
    );
  }
  const { needed, doing } = need(method, request);
  if (reaches(role, needed)) return;
  throw new StorageError(
    'denied',
    `${label} has role ${role}, and ${doing} needs ${needed}; the daemon's admin.access_file says who has which`,
  );
}

/** The role that a call needs, and what it is in words. */
function need(method: string, request: object): { needed: Role; doing: string } {
  switch (method) {
    case 'ListAttachments':
    case 'GetAttachment':
    case 'GetDaemon':
      return { needed: 'viewer', doing: 'to look' };
    case 'Attach':
      return takesOver(request as AttachRequestMessage)
        ? { needed: 'admin', doing: 'to attach with take-over or standby' }
        : { needed: 'operator', doing: 'to attach' };
    case 'Detach':
      return (request as DetachRequestMessage).force
        ? { needed: 'admin', doing: 'to detach by force' }
        : { needed: 'operator', doing: 'to detach' };
    case 'FailNow':
    case 'RetryNow':
      return { needed: 'operator', doing: 'to fail or retry requests' };
    default:
      // A call that is new and was not thought of here.
      return { needed: 'admin', doing: method };
  }
}

function takesOver({ takeOver, standby }: AttachRequestMessage): boolean {
  return takeOver || standby;
}
