/** A device for a client that may only read it, whatever others do with it: changes are refused at this door. */
import type { BlockCompletion, PacedBlockDevice } from '../block/block-device.js';
import { BlockError } from '../block/block-error.js';
import { changesContent, failed, type BlockRequest } from '../block/block-request.js';
import type { DeviceFacts } from '../block/device-facts.js';

export class ReadOnlyDevice implements PacedBlockDevice {
  constructor(readonly device: PacedBlockDevice) {}

  get facts(): DeviceFacts {
    const { facts } = this.device;
    return { ...facts, capabilities: { ...facts.capabilities, canWrite: false } };
  }

  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    if (!changesContent(request.kind)) {
      this.device.submit(request, complete);
      return;
    }
    const reason = `${request.kind} request of a client that may only read (nbd.access_file)`;
    complete(request, failed(new BlockError('EPERM', reason)));
  }

  hasRoom(): boolean {
    return this.device.hasRoom();
  }

  whenRoom(callback: () => void): void {
    this.device.whenRoom(callback);
  }

  /** The device is somebody else's, and goes on. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}
