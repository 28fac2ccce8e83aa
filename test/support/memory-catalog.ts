/**
 * A catalog in memory whose devices do what a test tells them: complete at once or when told, fail their
 * flushes, hang. It keeps what real ones promise: `setLease` counts only once it has resolved.
 *
 *     catalog.add({ name: 'v1' })
 *     const device = catalog.device('v1')     the device as long as it is open
 *     device.hold()                           from now on requests stay with the device
 *     device.completeNext()                   the oldest of them completes
 */
import assert from 'node:assert/strict';
import type { BlockError } from '#daemon/block/block-error.js';
import {
  DONE,
  failed,
  type BlockRequest,
  type BlockResult,
  type Extent,
} from '#daemon/block/block-request.js';
import type { BlockCompletion } from '#daemon/block/block-device.js';
import { REQUEST_BYTES_MAX, type DeviceFacts } from '#daemon/block/device-facts.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { FlushFailure } from '#daemon/block/flush-failure.js';
import type { BackendVolume } from '#daemon/storage-node/backend/backend.js';
import type { Catalog, NewVolume } from '#daemon/storage-node/catalog.js';
import type { VolumeRecord } from '#daemon/storage-node/volume-record.js';

interface Held {
  readonly request: BlockRequest;
  complete(): void;
}

export class MemoryDevice implements BackendVolume {
  facts: DeviceFacts;
  /** Every request submitted, in order. */
  readonly submitted: BlockRequest[] = [];
  flushError: BlockError | undefined;
  writeError: BlockError | undefined;
  closed = false;
  #held: Held[] | undefined;

  constructor(
    readonly content: Buffer,
    sizeBytes: number,
    blockBytes: number,
  ) {
    this.facts = {
      sizeBytes,
      blockBytes,
      preferredBytes: 4096,
      requestBytesMax: REQUEST_BYTES_MAX,
      capabilities: {
        canWrite: true,
        fua: 'emulated',
        canTrim: true,
        canFastZero: true,
        canBlockStatus: true,
      },
    };
  }

  get heldCount(): number {
    return this.#held?.length ?? 0;
  }

  hold(): void {
    this.#held ??= [];
  }

  /** The held request of this index takes effect and completes. */
  completeAt(index: number): void {
    const [held] = this.#held?.splice(index, 1) ?? [];
    assert.ok(held !== undefined, `no request is held at ${index}`);
    held.complete();
  }

  completeNext(): void {
    this.completeAt(0);
  }

  /** Everything held completes, and later requests at once. */
  completeAll(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const one of held) one.complete();
  }

  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    this.submitted.push(request);
    const act = (): void => {
      complete(request, this.#apply(request));
    };
    if (this.#held === undefined) act();
    else this.#held.push({ request, complete: act });
  }

  resize(sizeBytes: number): Promise<void> {
    this.facts = { ...this.facts, sizeBytes };
    return Promise.resolve();
  }

  close(): Promise<void> {
    assert.equal(this.heldCount, 0, 'a device is closed only when nothing is under way');
    this.closed = true;
    return Promise.resolve();
  }

  #apply({ kind, offsetBytes, lengthBytes, flags, payload }: BlockRequest): BlockResult {
    const endBytes = offsetBytes + lengthBytes;
    switch (kind) {
      case 'read':
        return { ...DONE, payload: [Buffer.from(this.content.subarray(offsetBytes, endBytes))] };
      case 'write':
        Buffer.concat(payload).copy(this.content, offsetBytes);
        if (this.writeError !== undefined) return failed(this.writeError);
        return (flags & 1) !== 0 && this.flushError !== undefined
          ? failed(FlushFailure.of(this.flushError))
          : DONE;
      case 'trim':
      case 'write-zeroes':
        this.content.fill(0, offsetBytes, endBytes);
        return DONE;
      case 'flush':
        return this.flushError === undefined ? DONE : failed(this.flushError);
      case 'block-status': {
        const extents: Extent[] = [{ lengthBytes, hole: false, zero: false }];
        return { ...DONE, extents };
      }
      case 'cache':
        return DONE;
    }
  }
}

interface MemoryVolume {
  record: VolumeRecord;
  readonly content: Buffer;
  device: MemoryDevice | undefined;
  users: number;
}

export class MemoryCatalog implements Catalog {
  readonly nodeId = 'memory-node';
  readonly backends = ['memory'];
  closed = false;
  /** What happens at the moment in which a lease would be made durable; may reject. */
  beforeSetLease: () => Promise<void> = () => Promise.resolve();
  readonly #volumes = new Map<string, MemoryVolume>();

  add(volume: { name: string } & Partial<VolumeRecord>): VolumeRecord {
    const record: VolumeRecord = {
      volumeId: `id-${volume.name}`,
      sizeBytes: 1024 * 1024,
      blockBytes: 512,
      backend: 'memory',
      createdUnixMs: 1,
      generation: 0,
      holder: undefined,
      ...volume,
    };
    const content = Buffer.alloc(record.sizeBytes);
    this.#volumes.set(record.volumeId, { record, content, device: undefined, users: 0 });
    return record;
  }

  /** The open device of a volume. */
  device(name: string): MemoryDevice {
    const device = this.#named(name)?.device;
    assert.ok(device !== undefined, `${name} is not open`);
    return device;
  }

  isOpen(name: string): boolean {
    return this.#named(name)?.device !== undefined;
  }

  list(): VolumeRecord[] {
    const records = [...this.#volumes.values()].map(({ record }) => record);
    return records.sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  byName(name: string): VolumeRecord | undefined {
    return this.#named(name)?.record;
  }

  byId(volumeId: string): VolumeRecord | undefined {
    return this.#volumes.get(volumeId)?.record;
  }

  create(volume: NewVolume): Promise<{ record: VolumeRecord; existed: boolean }> {
    const there = this.byName(volume.name);
    if (there !== undefined) return Promise.resolve({ record: there, existed: true });
    return Promise.resolve({ record: this.add(volume), existed: false });
  }

  async setLease(
    volumeId: string,
    lease: Pick<VolumeRecord, 'generation' | 'holder'>,
  ): Promise<VolumeRecord> {
    await this.beforeSetLease();
    return this.#replace(volumeId, lease);
  }

  async resize(volumeId: string, sizeBytes: number): Promise<VolumeRecord> {
    await this.#require(volumeId).device?.resize(sizeBytes);
    return this.#replace(volumeId, { sizeBytes });
  }

  delete(volumeId: string): Promise<void> {
    assert.ok(!this.isOpen(this.#require(volumeId).record.name), 'deleted while open');
    this.#volumes.delete(volumeId);
    return Promise.resolve();
  }

  open(volumeId: string): Promise<BackendVolume> {
    const volume = this.#require(volumeId);
    const { sizeBytes, blockBytes } = volume.record;
    volume.device ??= new MemoryDevice(volume.content, sizeBytes, blockBytes);
    volume.users += 1;
    return Promise.resolve(volume.device);
  }

  async release(volumeId: string): Promise<void> {
    const volume = this.#require(volumeId);
    volume.users -= 1;
    if (volume.users > 0) return;
    const { device } = volume;
    volume.device = undefined;
    await device?.close();
  }

  allocatedBytes(): Promise<number> {
    return Promise.resolve(0);
  }

  space(): Promise<{ freeBytes: number; totalBytes: number }> {
    return Promise.resolve({ freeBytes: 1000, totalBytes: 2000 });
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  #named(name: string): MemoryVolume | undefined {
    return [...this.#volumes.values()].find(({ record }) => record.name === name);
  }

  #require(volumeId: string): MemoryVolume {
    const volume = this.#volumes.get(volumeId);
    if (volume === undefined) throw new StorageError('not-found', `no volume has id ${volumeId}`);
    return volume;
  }

  #replace(volumeId: string, change: Partial<VolumeRecord>): VolumeRecord {
    const volume = this.#require(volumeId);
    volume.record = { ...volume.record, ...change };
    return volume.record;
  }
}
