/** Frames of a session in pieces. Rule: whatever they are, they are read like the whole, or refused like it. */
import { assertSameInPieces } from '#test/support/frame-outcome.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { withFittingChecksum } from './frame-fields.js';
import { REPLY_FRAMES, REQUEST_FRAMES } from './storage-frames.js';
import { choices, pieces } from './stream-pieces.js';

/** Pieces of a few bytes, and of most of the frame. */
const CUTTINGS = [3, 6, 70, 255];

export const PIECEWISE_FRAMES: FuzzTarget = {
  name: 'piecewise-frames',
  bytesMax: 4096,
  seeds: () =>
    [REQUEST_FRAMES, REPLY_FRAMES]
      .flatMap(({ seeds }) => seeds())
      .flatMap((frame) =>
        CUTTINGS.map((cutting) => Buffer.concat([Buffer.from([0, cutting]), frame])),
      ),
  repair: (input) => Buffer.concat([input.subarray(0, 2), withFittingChecksum(input.subarray(2))]),
  execute: (input) => {
    const { form, cutting, wire } = choices(input);
    // The first piece may be of another length: the columns are in it, or not.
    const first = Math.min(form, wire.length);
    const cut = [wire.subarray(0, first), ...pieces(wire.subarray(first), cutting)];
    const filled = cut.filter(({ length }) => length > 0);
    assertSameInPieces(wire, filled.length === 0 ? [wire] : filled);
  },
};
