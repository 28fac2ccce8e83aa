/**
 * The one interface that runs through the whole program: a volume, every storage
 * backend and the test doubles are block devices.
 */
import type { BlockRequest, BlockResult } from './block-request.js';
import type { DeviceFacts } from './device-facts.js';

/** Receives the request that ended and how. Called exactly once for each submitted request. */
export type BlockCompletion<Request extends BlockRequest> = (
  request: Request,
  result: BlockResult,
) => void;

export interface BlockDevice {
  /** Size, limits and capabilities as they are now; a resize replaces the object. */
  readonly facts: DeviceFacts;

  /**
   * Starts one request. The caller has passed it through `checkRequest`, except where
   * the device says that it is the door itself (Volume).
   *
   * - Never throws. `complete` is called exactly once, possibly before submit returns.
   * - Requests that overlap take effect in the order in which they were submitted.
   * - A read sees every write that was submitted before it.
   * - A flush covers every write that was completed before the flush was submitted.
   *
   * A completion with request and result instead of a promise: the hot path makes neither
   * closures nor promises. Callers put what they need (a cookie) on the request object.
   */
  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void;

  /** Ends the device after everything submitted has completed. Flushes nothing by itself. Idempotent. */
  close(): Promise<void>;
}

/** A device that can say "not now", so that the limit reaches the client's socket instead of our memory. */
export interface PacedBlockDevice extends BlockDevice {
  /** False while the device's queue depth or byte budget is used up. Submit still works: the caller stops reading. */
  hasRoom(): boolean;
  /** Calls back once, when there is room again or the device ended. */
  whenRoom(callback: () => void): void;
}

/** Submit for those who are not in a hurry: the result as a promise, a failure as a rejection with BlockError. */
export function submitAsync(device: BlockDevice, request: BlockRequest): Promise<BlockResult> {
  return new Promise((resolve, reject) => {
    device.submit(request, (_request, result) => {
      if (result.error === undefined) resolve(result);
      else reject(result.error);
    });
  });
}
