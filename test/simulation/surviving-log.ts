/**
 * The replay log on the daemon's machine: the product's own ReplayFile in a folder on tmpfs, seen by a
 * process that can die between any two steps. What was appended and not yet committed is then in the file as
 * far as the writing had come: not at all, torn, or whole.
 */
import fs from 'node:fs';
import path from 'node:path';
import { Gatherer } from '#daemon/runtime/gatherer.js';
import { HEADER_BYTES, pushRecord } from '#daemon/volume/replay-record.js';
import { ReplayFile, type RecoveredReplay } from '#daemon/volume/replay-file.js';
import type { ReplayOwner } from '#daemon/volume/replay-identity.js';
import type { ReplayPosition, ReplayRecord, ReplayStore } from '#daemon/volume/replay-store.js';
import type { SeededRandom } from './seeded-random.js';
import type { World } from './world.js';

export class SurvivingLog implements ReplayStore {
  /** True: the file system of the log is full. */
  isFull = false;
  readonly #uncommitted: Uncommitted[] = [];

  private constructor(
    readonly file: ReplayFile,
    readonly world: World,
  ) {}

  static open(
    folder: string,
    owner: ReplayOwner,
    world: World,
  ): RecoveredReplay & { readonly log: SurvivingLog } {
    const recovered = ReplayFile.open(folder, owner);
    return { ...recovered, log: new SurvivingLog(recovered.store, world) };
  }

  append(record: ReplayRecord, payload: readonly Buffer[]): ReplayPosition {
    const position = this.file.append(record, payload);
    this.#uncommitted.push({ record, position, payload: Buffer.concat(payload) });
    return position;
  }

  commit(): void {
    if (this.isFull && this.#uncommitted.length > 0) {
      this.world.count('replay log: full');
      throw Object.assign(new Error('no space left on the simulated tmpfs'), { code: 'ENOSPC' });
    }
    this.file.commit();
    this.#forgetUncommitted();
  }

  read(position: ReplayPosition, fromBytes: number, lengthBytes: number): Buffer {
    return this.file.read(position, fromBytes, lengthBytes);
  }

  forgetBelow(sequence: number): void {
    if (sequence === Infinity) this.#forgetUncommitted();
    this.file.forgetBelow(sequence);
  }

  setGeneration(generation: number): void {
    this.file.setGeneration(generation);
  }

  close(options: { remove: boolean }): void {
    this.file.close(options);
  }

  /**
   * The process died; the file keeps what had been written.
   * @param tornCountsAsWhole a planted bug: the torn record has an end
   */
  die(random: SeededRandom, tornCountsAsWhole: boolean): void {
    const first = this.#uncommitted[0]?.position;
    if (first !== undefined) {
      const bytes = Buffer.concat(this.#uncommitted.flatMap(toBytes));
      const reached = random.chance(0.3) ? 0 : random.between(0, bytes.length);
      if (tornCountsAsWhole)
        this.#writeTail(first, Buffer.concat(this.#uncommitted.flatMap(withoutEnd)));
      else if (reached > 0) this.#writeTail(first, bytes.subarray(0, reached));
      this.world.count(
        reached === bytes.length ? 'replay log: unanswered tail kept' : 'replay log: torn tail',
      );
    }
    this.file.close({ remove: false });
  }

  #writeTail(first: ReplayPosition, bytes: Buffer): void {
    const name = `${String(first.segment).padStart(8, '0')}.log`;
    const fd = fs.openSync(path.join(this.file.folder, name), 'r+');
    fs.writeSync(fd, bytes, 0, bytes.length, first.offsetBytes - HEADER_BYTES);
    fs.closeSync(fd);
  }

  #forgetUncommitted(): void {
    this.#uncommitted.length = 0;
  }
}

interface Uncommitted {
  readonly record: ReplayRecord;
  readonly position: ReplayPosition;
  readonly payload: Buffer;
}

function toBytes({ record, position, payload }: Uncommitted): Buffer[] {
  const pieces = new Gatherer(4096);
  pushRecord(pieces, record, position.segment, payload.length === 0 ? [] : [payload]);
  return pieces.take();
}

function withoutEnd(one: Uncommitted): Buffer[] {
  const payload = Buffer.from(one.payload);
  return toBytes({ ...one, payload: payload.fill(0, Math.floor(payload.length / 3)) });
}
