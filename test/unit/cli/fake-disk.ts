/** A connection to a disk in memory for the checker's tests, which can be told to break promises. */
import { BlockError } from '#daemon/block/block-error.js';
import type { BlockCompletion } from '#daemon/block/block-device.js';
import { DONE, failed, type BlockRequest, type BlockResult } from '#daemon/block/block-request.js';
import type { DeviceFacts } from '#daemon/block/device-facts.js';
import type { CuttableDevice } from '#daemon/cli/selftest/load-lane.js';

/** Called before a request is carried out; what it returns is the answer instead. */
export type Intercept = (request: BlockRequest, content: Buffer) => BlockResult | undefined;

export class FakeDisk implements CuttableDevice {
  readonly facts: DeviceFacts;
  #isOpen = true;

  constructor(
    readonly content: Buffer,
    readonly intercept: Intercept = () => undefined,
  ) {
    this.facts = {
      sizeBytes: content.length,
      blockBytes: 512,
      preferredBytes: 4096,
      requestBytesMax: 1024 * 1024,
      capabilities: {
        canWrite: true,
        fua: 'native',
        canTrim: true,
        canFastZero: true,
        canBlockStatus: false,
      },
    };
  }

  /** Answers a turn later; what is unanswered when it is cut has happened nevertheless. */
  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    const result = this.#isOpen ? this.#execute(request) : undefined;
    setImmediate(() => {
      const gone = failed(new BlockError('ESHUTDOWN', 'the connection is gone'));
      complete(request, this.#isOpen && result !== undefined ? result : gone);
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  cut(): void {
    this.#isOpen = false;
  }

  #execute(request: BlockRequest): BlockResult {
    const instead = this.intercept(request, this.content);
    if (instead !== undefined) return instead;
    const { kind, offsetBytes, lengthBytes, payload } = request;
    const endBytes = offsetBytes + lengthBytes;
    if (kind === 'read') {
      return { ...DONE, payload: [Buffer.from(this.content.subarray(offsetBytes, endBytes))] };
    }
    if (kind === 'write') Buffer.concat(payload).copy(this.content, offsetBytes);
    else if (kind !== 'flush') this.content.fill(0, offsetBytes, endBytes);
    return DONE;
  }
}
