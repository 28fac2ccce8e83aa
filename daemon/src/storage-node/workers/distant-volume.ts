/**
 * A volume that a worker has open, as the main thread uses it: to make it durable, to change its size, and for sessions
 * that are not served by the worker itself. Requests take effect in the order in which they are submitted here, among
 * those of the worker's own sessions.
 */
import { BlockError } from '../../block/block-error.js';
import { failed, type BlockRequest } from '../../block/block-request.js';
import type { BlockCompletion } from '../../block/block-device.js';
import type { DeviceFacts } from '../../block/device-facts.js';
import type { BackendVolume } from '../backend/backend.js';
import { heardError } from '../../threads/told-error.js';
import type { BackendCall, CallAnswer } from './worker-messages.js';

/** The part of a worker that its volumes use. */
export interface VolumeThread {
  call(call: BackendCall): Promise<CallAnswer>;
  submit<Request extends BlockRequest>(
    deviceId: number,
    request: Request,
    complete: BlockCompletion<Request>,
  ): void;
}

export class DistantVolume implements BackendVolume {
  #facts: DeviceFacts;
  /** Set when the volume takes no more requests. */
  #closed: Promise<void> | undefined;

  constructor(
    readonly thread: VolumeThread,
    readonly deviceId: number,
    readonly volumeId: string,
    facts: DeviceFacts,
    readonly onClosed: () => void,
  ) {
    this.#facts = facts;
  }

  get facts(): DeviceFacts {
    return this.#facts;
  }

  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    if (this.#closed === undefined) this.thread.submit(this.deviceId, request, complete);
    else complete(request, failed(closedError()));
  }

  async resize(sizeBytes: number): Promise<void> {
    if (this.#closed !== undefined) throw closedError();
    const { deviceId } = this;
    const { facts, error } = await this.thread.call({ act: 'resize', deviceId, sizeBytes });
    if (facts !== undefined) this.#facts = facts;
    if (error !== undefined) throw heardError(error);
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    const { error } = await this.thread.call({ act: 'close', deviceId: this.deviceId });
    this.onClosed();
    if (error !== undefined) throw heardError(error);
  }
}

function closedError(): BlockError {
  return new BlockError('ESHUTDOWN', 'the volume is closed');
}
