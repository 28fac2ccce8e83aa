/**
 * A resize changes two things, the record and the data. Whichever step a crash or a failure leaves out,
 * the record's size is the smaller one: opening the volume cuts the rest off, and nobody has written there.
 */
import type { BackendVolume } from './backend/backend.js';
import { diskFailure } from './disk-failure.js';
import type { VolumeRecord } from './volume-record.js';

/**
 * @param replace makes the record durable
 * @returns the new record
 * @throws StorageError 'exhausted' or 'internal'; a volume that was to grow is then as it was
 */
export async function resizeVolume(
  record: VolumeRecord,
  device: BackendVolume,
  sizeBytes: number,
  replace: (record: VolumeRecord) => Promise<VolumeRecord>,
): Promise<VolumeRecord> {
  const resized = { ...record, sizeBytes };
  if (sizeBytes < record.sizeBytes) {
    await replace(resized);
    await resizeDevice(device, resized);
    return resized;
  }
  await resizeDevice(device, resized);
  try {
    return await replace(resized);
  } catch (error) {
    // Nobody has heard of the new size. If this fails too, the next open does it.
    await device.resize(record.sizeBytes).catch(() => undefined);
    throw error;
  }
}

async function resizeDevice(device: BackendVolume, record: VolumeRecord): Promise<void> {
  try {
    await device.resize(record.sizeBytes);
  } catch (error) {
    throw diskFailure(error, beginningOf(record.name, record.sizeBytes));
  }
}

/** The same as the error says, for whoever hears of it elsewhere. */
export function resizeSentence(volumeName: string, sizeBytes: number, reason: string): string {
  return `${beginningOf(volumeName, sizeBytes)}: ${reason}`;
}

function beginningOf(volumeName: string, sizeBytes: number): string {
  return `volume ${volumeName} cannot have ${sizeBytes} bytes`;
}
