/**
 * A load that knows what it may read: several connections to one volume, each with requests under way all
 * the time, every read judged. Connections may be cut, by it or by the world; they are opened again, and
 * what was unanswered is doubtful. What one connection does is load-lane.ts.
 */
import { submitAsync } from '../../block/block-device.js';
import { flushRequest, joined, rangeRequest, readRequest } from '../../block/block-request.js';
import { LoadLane, type LaneOptions } from './load-lane.js';
import { LoadRecord } from './load-record.js';
import { SeededChance } from './seeded-chance.js';
import { STAMP_BYTES } from './stamp.js';

/** One read of a verification: long enough to be quick, short enough for every server. */
const VERIFY_BLOCKS = 256;

/** One write-zeroes when a volume is cleared: short enough not to hold up others where zeroes are written. */
const CLEAR_BYTES = 8 * 1024 * 1024;

export interface LoadOptions extends LaneOptions {
  readonly sizeBytes: number;
  readonly seed: number;
  /** A text that no other run uses: stamps of other runs are found by it. */
  readonly owner: string;
}

/** Where a reading of the whole volume has arrived. */
export type ReadProgress = (bytes: number) => void;

export class CheckedLoad {
  readonly record: LoadRecord;
  readonly #lanes: readonly LoadLane[];

  constructor(readonly options: LoadOptions) {
    const { sizeBytes, owner, clock, connections, seed } = options;
    this.record = new LoadRecord(sizeBytes, owner, clock);
    const seeds = new SeededChance(seed);
    this.#lanes = Array.from({ length: connections }, (_, lane) => {
      const chance = new SeededChance(seeds.below(0x1_0000_0000));
      return new LoadLane(this.record, options, lane, chance);
    });
  }

  /** Opens every connection and begins. @throws what `connect` threw the first time */
  async start(): Promise<void> {
    try {
      await Promise.all(this.#lanes.map((lane) => lane.open()));
    } catch (error) {
      await this.abandon();
      throw error;
    }
    this.record.pauses.restart();
    for (const lane of this.#lanes) lane.start();
  }

  /** Asks nothing new and waits for what is under way. */
  async stop(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.stop()));
  }

  /** Asks nothing new and cuts every connection: what is under way is doubtful. */
  async abandon(): Promise<void> {
    const stopped = this.stop();
    for (const lane of this.#lanes) lane.cut();
    await stopped;
  }

  /** Cuts one connection without a word; a running load opens it again. */
  cut(lane: number): void {
    this.#lanes[lane]?.cut();
  }

  /** Makes every block zero and durable, for a volume whose content is not known. @throws BlockError */
  async clear(onProgress?: ReadProgress): Promise<void> {
    const { sizeBytes, connect } = this.options;
    const device = await connect(0);
    try {
      for (let offsetBytes = 0; offsetBytes < sizeBytes; offsetBytes += CLEAR_BYTES) {
        const lengthBytes = Math.min(CLEAR_BYTES, sizeBytes - offsetBytes);
        await submitAsync(device, rangeRequest('write-zeroes', offsetBytes, lengthBytes));
        onProgress?.(offsetBytes + lengthBytes);
      }
      await submitAsync(device, flushRequest());
    } finally {
      await device.close();
    }
  }

  /** Flushes, then reads and judges every block, on a connection of its own. @throws BlockError */
  async verify(onProgress?: ReadProgress): Promise<void> {
    const { content } = this.record;
    const device = await this.options.connect(0);
    try {
      const begunAt = content.flushBegun();
      await submitAsync(device, flushRequest());
      content.flushAnswered(begunAt);
      const read = async (offsetBytes: number, lengthBytes: number): Promise<Buffer> => {
        const { payload } = await submitAsync(device, readRequest(offsetBytes, lengthBytes));
        return joined(payload);
      };
      await this.verifyThrough(read, onProgress);
    } finally {
      await device.close();
    }
  }

  /** Judges every block as `read` returns it: also for ways around the connections. */
  async verifyThrough(
    read: (offsetBytes: number, lengthBytes: number) => Promise<Buffer>,
    onProgress?: ReadProgress,
  ): Promise<void> {
    const { content } = this.record;
    for (let first = 0; first < content.blockCount; first += VERIFY_BLOCKS) {
      const count = Math.min(VERIFY_BLOCKS, content.blockCount - first);
      const begunAt = content.readBegun();
      try {
        const data = await read(first * STAMP_BYTES, count * STAMP_BYTES);
        this.record.judge(first, count, data, begunAt);
      } finally {
        content.readEnded(begunAt);
      }
      onProgress?.((first + count) * STAMP_BYTES);
    }
  }
}
