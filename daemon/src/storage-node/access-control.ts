/**
 * The door of a storage node: whether a caller may do what it asks, by the rules in force. Refusals are told in
 * the same words whether the volume is there or not, and logged with the reason. The rules themselves are
 * config/access-rules.ts.
 */
import type { AccessDecision, AccessRules, Wanted } from '../config/access-rules.js';
import type { RepeatedWarnings } from '../runtime/repeated-warnings.js';
import { StorageError } from '../rpc/storage-error.js';
import type { Caller } from './access-caller.js';

/** What was asked for: a volume by its name or its id, in the caller's own words, and its name if it is there. */
export interface Target {
  /** As in "volume vm-1": all that the caller is told. */
  readonly asked: string;
  readonly volume: string | undefined;
}

const DOING: Readonly<Record<Wanted, string>> = {
  see: 'see',
  read: 'read',
  write: 'write',
  'take-over': 'take over',
  administer: 'administer',
};

export class AccessControl {
  #rules: AccessRules | undefined;

  /** @param rules undefined: everybody may do everything */
  constructor(
    rules: AccessRules | undefined,
    readonly refusals: RepeatedWarnings,
  ) {
    this.#rules = rules;
  }

  /** New rules count from now on; who has open sessions is the caller's business. */
  replaceRules(rules: AccessRules): void {
    this.#rules = rules;
  }

  decide(caller: Caller, volume: string | undefined, wanted: Wanted): AccessDecision {
    const [rules, { names }] = [this.#rules, caller];
    if (rules === undefined || names === undefined)
      return { allowed: true, reason: 'nobody is asked for a certificate' };
    return rules.decide(names, volume, wanted);
  }

  may(caller: Caller, volume: string | undefined, wanted: Wanted): boolean {
    return this.decide(caller, volume, wanted).allowed;
  }

  /** @throws StorageError 'denied', in words that do not tell whether the volume is there */
  require(caller: Caller, target: Target, wanted: Wanted): void {
    const { allowed, reason } = this.decide(caller, target.volume, wanted);
    if (allowed) return;
    this.noteRefusal(caller, target, wanted, reason);
    throw denied(caller, target, wanted);
  }

  /** For what concerns no volume. @throws StorageError 'denied' */
  requireKnown(caller: Caller): void {
    const [rules, { names, label }] = [this.#rules, caller];
    if (rules === undefined || names === undefined) return;
    const { allowed, reason } = rules.knows(names);
    if (allowed) return;
    this.noteRefusal(caller, { asked: 'the node', volume: undefined }, 'see', reason);
    throw new StorageError(
      'denied',
      `${label} may do nothing on this node; its access_file says who may`,
    );
  }

  noteRefusal(caller: Caller, { asked, volume }: Target, wanted: Wanted, reason: string): void {
    const { label: client, peer } = caller;
    this.refusals.warn(
      JSON.stringify([client, asked, wanted, reason]),
      { event: 'access_refused', client, peer, volume, asked, right: wanted, reason },
      `${client} was refused to ${DOING[wanted]} ${asked}: ${reason}`,
    );
  }
}

/** What a caller without the right is told, and what ends its session. */
export function denied({ label }: Caller, { asked }: Target, wanted: Wanted): StorageError {
  return new StorageError(
    'denied',
    `${label} may not ${DOING[wanted]} ${asked} on this node; its access_file says who may`,
  );
}
