/**
 * The devices that a worker has open: for its own sessions, which use them directly, and for what the main thread asks of
 * them. When one cannot be made durable, its sessions here end in the same turn, before any of them can read or write
 * anything more, or be told of a success under a write verifier that is over.
 */
import { BlockError } from '../../block/block-error.js';
import { failed } from '../../block/block-request.js';
import { checkRequest } from '../../block/request-check.js';
import { StorageError } from '../../rpc/storage-error.js';
import type { BackendVolume, StorageBackend } from '../backend/backend.js';
import { FlushFailure } from '../../block/flush-failure.js';
import type { TableSession } from '../session-table.js';
import { failureSentence } from '../volume-failure.js';
import { resizeSentence } from '../volume-resize.js';
import { toldError } from '../../threads/told-error.js';
import {
  heardRequest,
  toldResult,
  transferred,
  type ToldRequest,
} from '../../threads/told-request.js';
import type { BackendCall, CallAnswer, FromWorker, Post } from './worker-messages.js';

export interface HeldDevice {
  readonly deviceId: number;
  readonly device: BackendVolume;
  /** As the last session was told it. */
  volumeName: string;
  readonly sessions: Set<TableSession>;
  /** Set for good when it could not be made durable: it is to be opened anew. */
  failure: StorageError | undefined;
}

export class WorkerDevices {
  readonly #held = new Map<number, HeldDevice>();

  constructor(
    readonly engines: readonly StorageBackend[],
    readonly post: Post<FromWorker>,
  ) {}

  require(deviceId: number): HeldDevice {
    const held = this.#held.get(deviceId);
    if (held === undefined) throw new Error(`device ${deviceId} is not open`);
    return held;
  }

  /** Never rejects. */
  async call(call: BackendCall): Promise<CallAnswer> {
    try {
      return await this.#answer(call);
    } catch (error) {
      return { error: toldError(error) };
    }
  }

  submit(deviceId: number, told: ToldRequest): void {
    const held = this.require(deviceId);
    const request = heardRequest(told);
    const { requestId } = request;
    // The size may be another one than the main thread knew.
    const refusal = checkRequest(request, held.device.facts);
    if (refusal !== undefined) {
      this.post({ kind: 'completed', result: toldResult(requestId, failed(refusal)) });
      return;
    }
    held.device.submit(request, ({ kind }, result) => {
      const answer = toldResult(requestId, result);
      held.device.reclaim?.(result.payload);
      this.post({ kind: 'completed', result: answer }, transferred([answer]));
      const { error } = result;
      if (error !== undefined && (kind === 'flush' || error instanceof FlushFailure))
        this.flushFailed(held, error);
    });
  }

  /** A flush, or a request with FUA, failed on this device. */
  flushFailed(held: HeldDevice, error: BlockError): void {
    if (held.failure !== undefined) return;
    held.failure = new StorageError('unavailable', failureSentence(held.volumeName, error));
    this.post({ kind: 'flush-failed', deviceId: held.deviceId, error: toldError(error) });
    endSessions(held, held.failure);
  }

  async #answer(call: BackendCall): Promise<CallAnswer> {
    switch (call.act) {
      case 'create':
        await this.#engine(call.backend).create(call.volume, call.folder);
        return {};
      case 'allocatedBytes':
        return { bytes: await this.#engine(call.backend).allocatedBytes(call.volume, call.folder) };
      case 'delete':
        await this.#engine(call.backend).delete(call.volume);
        return {};
      case 'open': {
        const { deviceId, volume, folder } = call;
        const device = await this.#engine(call.backend).open(volume, folder);
        const { volumeId: volumeName } = volume;
        this.#held.set(deviceId, {
          deviceId,
          device,
          volumeName,
          sessions: new Set(),
          failure: undefined,
        });
        return { facts: device.facts };
      }
      case 'resize':
        return this.#resize(this.require(call.deviceId), call.sizeBytes);
      case 'close': {
        const { device } = this.require(call.deviceId);
        await device.close().finally(() => this.#held.delete(call.deviceId));
        return {};
      }
    }
  }

  async #resize(held: HeldDevice, sizeBytes: number): Promise<CallAnswer> {
    const { device } = held;
    try {
      await device.resize(sizeBytes);
      return { facts: device.facts };
    } catch (error) {
      const { errno, reason } = BlockError.from(error);
      const sentence = resizeSentence(held.volumeName, sizeBytes, reason);
      // Linux tells of a lost write once: this may have been the one who was told. The main thread does the rest.
      if (errno !== 'ENOSPC') endSessions(held, new StorageError('unavailable', sentence));
      return { facts: device.facts, error: toldError(error) };
    }
  }

  #engine(name: string): StorageBackend {
    const engine = this.engines.find((one) => one.name === name);
    if (engine === undefined) throw new Error(`there is no backend "${name}"`);
    return engine;
  }
}

function endSessions({ sessions }: HeldDevice, reason: StorageError): void {
  for (const session of [...sessions]) session.end(reason);
}
