/**
 * Chooses what a checked load asks next: mostly writes and reads, often in one small region, so that
 * requests meet; flushes, FUA, trims and zeroes among them; lengths from one block to the longest request.
 */
import type { SeededChance } from './seeded-chance.js';

export type MixedRequest =
  | { readonly kind: 'flush' }
  | {
      readonly kind: 'read' | 'write' | 'write-zeroes' | 'trim';
      readonly firstBlock: number;
      readonly blockCount: number;
      readonly fua: boolean;
    };

export interface MixOptions {
  readonly blockCount: number;
  /** Of one request. */
  readonly blocksMax: number;
  readonly canTrim: boolean;
}

/** Shares of a hundred requests, added up. */
const WRITES_BELOW = 50;
const READS_BELOW = 84;
const FLUSHES_BELOW = 92;
const ZEROES_BELOW = 96;

/** Half of all requests go to this many blocks: overlaps are where order is lost. */
const HOT_BLOCKS = 64;
const HOT_SHARE = 0.5;
const FUA_SHARE = 0.06;

/** Most requests are short, as a file system's are; one in a hundred is as long as it may be. */
const SHORT_BLOCKS = 8;
const LONG_SHARE = 0.1;
const LONGEST_SHARE = 0.01;

export function nextRequest(chance: SeededChance, options: MixOptions): MixedRequest {
  const share = chance.below(100);
  if (share >= READS_BELOW && share < FLUSHES_BELOW) return { kind: 'flush' };
  const blockCount = length(chance, options);
  const reach = chance.fraction() < HOT_SHARE ? HOT_BLOCKS : options.blockCount;
  const blocks = Math.max(blockCount, Math.min(reach, options.blockCount));
  const firstBlock = chance.below(blocks - blockCount + 1);
  const kind = kindOf(share, options);
  const fua = kind !== 'read' && chance.fraction() < FUA_SHARE;
  return { kind, firstBlock, blockCount, fua };
}

function kindOf(
  share: number,
  { canTrim }: MixOptions,
): 'read' | 'write' | 'write-zeroes' | 'trim' {
  if (share < WRITES_BELOW) return 'write';
  if (share < READS_BELOW) return 'read';
  return share < ZEROES_BELOW || !canTrim ? 'write-zeroes' : 'trim';
}

function length(chance: SeededChance, { blocksMax }: MixOptions): number {
  const roll = chance.fraction();
  if (roll < LONGEST_SHARE) return blocksMax;
  const most = roll < LONG_SHARE ? blocksMax / 4 : SHORT_BLOCKS;
  return chance.between(1, Math.max(1, Math.min(blocksMax, Math.floor(most))));
}
