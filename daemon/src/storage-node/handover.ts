/**
 * What the former writer of a volume was answered becomes durable before the next one writes: only the former
 * one could send it again after a power cut, and that it may not any more.
 */
import { submitAsync } from '../block/block-device.js';
import { BlockError } from '../block/block-error.js';
import { flushRequest } from '../block/block-request.js';
import type { SessionHost } from './session-host.js';
import { flushFailed } from './volume-failure.js';

/** Resolves also when the disk failed: the next writer hears of it as of any flush that failed. */
export async function makeDurable(
  host: Pick<SessionHost, 'verifiers' | 'sessions' | 'options'>,
  volumeId: string,
): Promise<void> {
  const { catalog } = host.options;
  const device = await catalog.open(volumeId);
  try {
    await submitAsync(device, flushRequest());
  } catch (error) {
    flushFailed(host, volumeId, device, BlockError.from(error));
  } finally {
    await catalog.release(volumeId);
  }
}
