/** How long requests take as a client sees it: a block device that times what goes through it. */
import type { BlockCompletion } from '#daemon/block/block-device.js';
import type { BlockRequest } from '#daemon/block/block-request.js';
import type { DeviceFacts } from '#daemon/block/device-facts.js';
import type { CuttableDevice } from '#daemon/cli/selftest/load-lane.js';
import { percentile } from './trend.js';

/** Milliseconds since the last look. */
export interface Latency {
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostMs: number;
}

export class LatencyMeter {
  #latenciesMs: number[] = [];

  add(latencyMs: number): void {
    this.#latenciesMs.push(latencyMs);
  }

  /** Of the requests since the last call; undefined if there were none. */
  take(): Latency | undefined {
    const taken = this.#latenciesMs;
    this.#latenciesMs = [];
    if (taken.length === 0) return undefined;
    return {
      requests: taken.length,
      p50Ms: percentile(taken, 0.5),
      p99Ms: percentile(taken, 0.99),
      mostMs: percentile(taken, 1),
    };
  }

  /** The device, with every successful request timed. */
  timed(device: CuttableDevice): CuttableDevice {
    return new TimedDevice(device, this);
  }
}

class TimedDevice implements CuttableDevice {
  readonly facts: DeviceFacts;

  constructor(
    readonly device: CuttableDevice,
    readonly meter: LatencyMeter,
  ) {
    this.facts = device.facts;
  }

  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    const startMs = performance.now();
    this.device.submit(request, (answered, result) => {
      if (result.error === undefined) this.meter.add(performance.now() - startMs);
      complete(answered, result);
    });
  }

  close(): Promise<void> {
    return this.device.close();
  }

  cut(): void {
    this.device.cut();
  }
}
