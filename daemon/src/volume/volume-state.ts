/**
 * Where a volume stands between its clients and its node: one variable, its moves as a table.
 *
 *   connecting ──► active ◄──► holding ──► failing ──► active
 *        │           │            │           │
 *        └───────────┴────────────┴───────────┴──► fenced      (and from everywhere) ──► closed
 */
import { BlockError } from '../block/block-error.js';

export type VolumeState =
  /** The node has not been reached yet; size and limits are unknown. */
  | { readonly name: 'connecting'; readonly detail: string }
  /** Requests go to the node. */
  | { readonly name: 'active' }
  /** The node is away; requests wait. */
  | { readonly name: 'holding'; readonly detail: string }
  /** The node was away for longer than the hold time: requests fail with EIO until it is back. */
  | { readonly name: 'failing'; readonly detail: string }
  /** Nothing may be written any more: another writer has the volume, or an answered write is lost. */
  | {
      readonly name: 'fenced';
      readonly detail: string;
      /** It was this writer's until then: what it had not flushed is nobody's to send any more. */
      readonly takenOver: boolean;
    }
  | { readonly name: 'closed' };

export type VolumeStateName = VolumeState['name'];

const MOVES: Readonly<Record<VolumeStateName, readonly VolumeStateName[]>> = {
  connecting: ['connecting', 'active', 'fenced', 'closed'],
  active: ['holding', 'fenced', 'closed'],
  holding: ['holding', 'active', 'failing', 'fenced', 'closed'],
  failing: ['failing', 'active', 'fenced', 'closed'],
  fenced: ['fenced', 'closed'],
  closed: ['closed'],
};

/** @throws Error on a move that the table does not have: a bug in this room. */
export function moveTo(from: VolumeState, to: VolumeState): VolumeState {
  if (!MOVES[from.name].includes(to.name)) {
    throw new Error(`a volume cannot move from ${from.name} to ${to.name}`);
  }
  return to;
}

/** True if what is left in the replay log must never be sent again. */
export function isTakenOver(state: VolumeState): boolean {
  return state.name === 'fenced' && state.takenOver;
}

/** @returns why a request is refused in this state, or undefined */
export function refusalOf(state: VolumeState, isDraining: boolean): BlockError | undefined {
  switch (state.name) {
    case 'active':
    case 'holding':
      if (!isDraining) return undefined;
      return new BlockError('ESHUTDOWN', 'the volume is being detached');
    case 'connecting':
    case 'failing':
    case 'fenced':
      return new BlockError('EIO', state.detail);
    case 'closed':
      return new BlockError('ESHUTDOWN', 'the volume was closed');
  }
}
