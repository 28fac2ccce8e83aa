/**
 * The main thread's end of one worker: what it is asked, and what is heard of it. Questions have answers in any order;
 * all else is heard in the order in which it was said.
 */
import type { Worker } from 'node:worker_threads';
import type { BlockRequest } from '../../block/block-request.js';
import { BlockError } from '../../block/block-error.js';
import type { BlockCompletion } from '../../block/block-device.js';
import type { BackendVolume, VolumeIdentity } from '../backend/backend.js';
import type { BackendThread } from './distant-backend.js';
import { DistantVolume, type VolumeThread } from './distant-volume.js';
import { heardError, type ToldError } from '../../threads/told-error.js';
import {
  heardResult,
  toldRequest,
  transferred,
  type ToldResult,
} from '../../threads/told-request.js';
import type { BackendCall, CallAnswer, FromWorker, ToWorker } from './worker-messages.js';

export class WorkerThread implements VolumeThread, BackendThread {
  readonly #calls = new Map<number, (answer: CallAnswer) => void>();
  /** Each completes one request that the worker has. */
  readonly #requests = new Map<number, (result: ToldResult) => void>();
  readonly #devices = new Map<number, DistantVolume>();
  #lastId = 0;
  #isStopping = false;
  /** It was asked for a sign of life, and has not given it. */
  #isAsked = false;
  readonly #ended: Promise<void>;

  constructor(
    readonly worker: Worker,
    /** Hears what is not an answer. */
    readonly hear: (message: FromWorker) => void,
    /** A volume could not be made durable. */
    readonly flushFailed: (device: DistantVolume, error: BlockError) => void,
  ) {
    worker.on('message', (message: FromWorker) => {
      this.#receive(message);
    });
    // Thrown where nobody catches it, as it was there: it ends the process in the same way.
    worker.on('error', (error) => {
      throw error;
    });
    this.#ended = new Promise((resolve) => {
      worker.once('exit', (code) => {
        if (!this.#isStopping) throw new Error(`a worker has ended with status ${code}`);
        resolve();
      });
    });
  }

  readonly post = (message: ToWorker, transfer: ArrayBuffer[] = []): void => {
    this.worker.postMessage(message, transfer);
  };

  call(call: BackendCall): Promise<CallAnswer> {
    return new Promise((resolve) => {
      const callId = this.#nextId();
      this.#calls.set(callId, resolve);
      this.post({ kind: 'call', callId, call });
    });
  }

  async openDevice(
    backend: string,
    volume: VolumeIdentity,
    folder: string,
  ): Promise<BackendVolume> {
    const deviceId = this.#nextId();
    const { facts, error } = await this.call({ act: 'open', backend, volume, folder, deviceId });
    if (error !== undefined) throw heardError(error);
    if (facts === undefined) throw new Error('a worker opened a volume and told nothing of it');
    const device = new DistantVolume(this, deviceId, volume.volumeId, facts, () => {
      this.#devices.delete(deviceId);
    });
    this.#devices.set(deviceId, device);
    return device;
  }

  submit<Request extends BlockRequest>(
    deviceId: number,
    request: Request,
    complete: BlockCompletion<Request>,
  ): void {
    const requestId = this.#nextId();
    this.#requests.set(requestId, (result) => {
      complete(request, heardResult(result));
    });
    const told = toldRequest(requestId, request);
    this.post({ kind: 'submit', deviceId, request: told }, transferred([told]));
  }

  /** Whether it has answered what the last call asked; asks again if so. */
  isAnswering(): boolean {
    if (this.#isAsked) return false;
    this.#isAsked = true;
    this.post({ kind: 'ask' });
    return true;
  }

  /** Nothing of a session, connection or device is left there. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.post({ kind: 'stop' });
    await this.#ended;
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  #receive(message: FromWorker): void {
    switch (message.kind) {
      case 'alive':
        this.#isAsked = false;
        return;
      case 'answer':
        taken(this.#calls, message.callId)?.(message.answer);
        return;
      case 'completed':
        taken(this.#requests, message.result.requestId)?.(message.result);
        return;
      case 'flush-failed':
        this.#hearFailure(message.deviceId, message.error);
        return;
      default:
        this.hear(message);
    }
  }

  #hearFailure(deviceId: number, error: ToldError): void {
    const device = this.#devices.get(deviceId);
    if (device !== undefined) this.flushFailed(device, BlockError.from(heardError(error)));
  }
}

function taken<Value>(map: Map<number, Value>, id: number): Value | undefined {
  const value = map.get(id);
  map.delete(id);
  return value;
}
