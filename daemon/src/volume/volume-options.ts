/** What a volume is made with. */
import type { DeviceFacts } from '../block/device-facts.js';
import type { Clock } from '../runtime/clock.js';
import type { PipelineOptions } from './pipeline-options.js';
import type { LinkOptions } from './volume-link.js';
import type { VolumeState } from './volume-state.js';

export interface VolumeOptions extends Pick<
  PipelineOptions,
  'limits' | 'replayLog' | 'writeCache' | 'defer' | 'expectation'
> {
  readonly link: LinkOptions;
  /** How long requests wait for a node that is away before they fail with EIO; Infinity waits for ever. */
  readonly ioHoldTimeoutMs: number;
  /** Longest read ahead of what is asked for; 0: none. */
  readonly readAheadBytes: number;
  readonly clock: Clock;
  /** Every change of state, for the log. */
  readonly onState: (state: VolumeState) => void;
  /** The size, or what else is known of the device, was learnt or has changed. */
  readonly onFacts: (facts: DeviceFacts) => void;
}
