/** A volume under a checked load through one daemon: made, attached, loaded, verified, taken away again. */
import { CheckedLoad } from '#daemon/cli/selftest/checked-load.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { attachRequest } from '#test/support/attach-request.js';
import type { FaultDaemon } from '../faults/fault-stack.js';
import type { LatencyMeter } from './latency-meter.js';
import type { SoakNode } from './soak-stack.js';

/** Requests under way on each connection, when the rate lets so many come together. */
const DEPTH = 16;

export interface VolumeWishes {
  readonly name: string;
  readonly sizeBytes: number;
  readonly connections: number;
  readonly requestsPerSecond: number;
  readonly seed: number;
  readonly meter: LatencyMeter;
}

export class VolumeLoad {
  readonly load: CheckedLoad;

  private constructor(
    readonly node: SoakNode,
    readonly daemon: FaultDaemon,
    readonly wishes: VolumeWishes,
  ) {
    const { name, meter, connections, sizeBytes, seed, requestsPerSecond } = wishes;
    this.load = new CheckedLoad({
      connect: async () => meter.timed(await daemon.connect(name)),
      ...{ connections, depth: DEPTH, sizeBytes, clock: SYSTEM_CLOCK, seed },
      ...{ owner: `soak ${name} ${seed}`, requestsPerSecondMax: requestsPerSecond },
    });
  }

  /** Makes the volume, attaches it, and lets the load begin. */
  static async start(
    node: SoakNode,
    daemon: FaultDaemon,
    wishes: VolumeWishes,
  ): Promise<VolumeLoad> {
    const { name, sizeBytes } = wishes;
    await node.storage.createVolume({ name, sizeBytes, blockBytes: 0, backend: '' });
    await daemon.admin.attach(attachRequest(name, { node: node.address }));
    const volume = new VolumeLoad(node, daemon, wishes);
    await volume.load.start();
    return volume;
  }

  get name(): string {
    return this.wishes.name;
  }

  /** Ends the load and judges every block. */
  async verify(): Promise<void> {
    await this.load.stop();
    await this.load.verify();
  }

  /** Detaches the volume and deletes it. */
  async remove(): Promise<void> {
    await this.daemon.admin.detach({ exportName: this.name, force: false });
    await this.node.storage.deleteVolume({ name: this.name, volumeId: '' });
  }

  /** Broken promises and failed requests, in sentences. */
  problems(): string[] {
    const { problems, problemCount, counters } = this.load.record;
    const failed = Object.entries(counters.errors).map(
      ([errno, count]) => `${this.name}: ${count} requests failed with ${errno}`,
    );
    const more = problemCount - problems.length;
    return [
      ...problems.map((problem) => `${this.name}: ${problem}`),
      ...(more > 0 ? [`${this.name}: ${more} further broken promises`] : []),
      ...failed,
    ];
  }
}
