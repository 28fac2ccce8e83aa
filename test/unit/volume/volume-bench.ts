/** A volume on a pretend node, with a clock that stands still. */
import { ReplayLog } from '#daemon/volume/replay-log.js';
import { MemoryReplayStore } from '#daemon/volume/replay-store.js';
import type { VolumeState } from '#daemon/volume/volume-state.js';
import type { VolumeOptions } from '#daemon/volume/volume-options.js';
import { Volume } from '#daemon/volume/volume.js';
import { FakeClock } from '#test/support/fake-clock.js';
import { NODE_BYTES, PretendNode } from '#test/support/pretend-node.js';

export interface Bench {
  readonly node: PretendNode;
  readonly clock: FakeClock;
  readonly volume: Volume;
  readonly states: VolumeState[];
}

export const HOLD_MS = 30_000;

export async function openVolume(
  overrides: Partial<VolumeOptions> & {
    node?: PretendNode;
    readOnly?: boolean;
    takeOver?: boolean;
    claiming?: () => void | Promise<void>;
    replayBytesMax?: number;
  } = {},
): Promise<Bench> {
  const node = overrides.node ?? new PretendNode();
  const clock = new FakeClock();
  const states: VolumeState[] = [];
  const volume = new Volume({
    link: {
      client: node,
      volumeName: 'v1',
      volumeId: undefined,
      attachmentId: 'a1',
      description: 'test',
      readOnly: overrides.readOnly ?? false,
      takeOver: overrides.takeOver ?? false,
      claiming: overrides.claiming,
      expectedGeneration: 0,
      checksum: 'none',
      clock,
      random: () => 0.5,
    },
    limits: { queueDepth: 16, bytesMax: NODE_BYTES },
    replayLog: new ReplayLog(new MemoryReplayStore(), {
      bytesMax: overrides.replayBytesMax ?? NODE_BYTES,
      entriesMax: 1000,
    }),
    writeCache: false,
    readAheadBytes: 0,
    ioHoldTimeoutMs: HOLD_MS,
    clock,
    defer: queueMicrotask,
    onState: (state) => states.push(state),
    onFacts: () => undefined,
    ...overrides,
  });
  await volume.start();
  return { node, clock, volume, states };
}

export function block(fill: number, lengthBytes = 512): Buffer {
  return Buffer.alloc(lengthBytes, fill);
}

/** Starts a request and tells later how it went. */
export function started(
  volume: Volume,
  request: Parameters<Volume['submit']>[0],
): { error?: string; done: boolean } {
  const seen: { error?: string; done: boolean } = { done: false };
  volume.submit(request, (_request, result) => {
    seen.done = true;
    if (result.error !== undefined) seen.error = result.error.errno;
  });
  return seen;
}
