/** Which blocks and how many sockets the kernel's device of a volume gets, and what it cannot have. */
import type { DeviceFacts } from '../block/device-facts.js';
import { StorageError } from '../rpc/storage-error.js';
import type { DeviceRecord } from './attachment.js';

export type DeviceShape = Omit<DeviceRecord, 'index'>;

/** The kernel's limits: a sector, and a page of memory. */
const BLOCK_BYTES_MIN = 512;
const BLOCK_BYTES_MAX = 4096;

/** Names of partitions of other devices in /dev/blkferry. */
const PARTITION_NAME = /-part[0-9]+$/;

/** @throws StorageError 'invalid' for a name that would hide another device's partition */
export function checkDeviceName(exportName: string): void {
  if (!PARTITION_NAME.test(exportName)) return;
  throw new StorageError(
    'invalid',
    `a device cannot be called ${exportName}: names that end so are those of partitions; choose another with --name, or attach with --no-device`,
  );
}

/**
 * @param wish blockBytes 0 for the volume's own
 * @throws StorageError 'invalid'
 */
export function deviceShape(
  volumeName: string,
  { sizeBytes, blockBytes: volumeBlockBytes }: Pick<DeviceFacts, 'sizeBytes' | 'blockBytes'>,
  wish: DeviceShape,
): DeviceShape {
  const blockBytes = wish.blockBytes || Math.max(BLOCK_BYTES_MIN, volumeBlockBytes);
  const isPowerOfTwo = (blockBytes & (blockBytes - 1)) === 0;
  if (!isPowerOfTwo || blockBytes < BLOCK_BYTES_MIN || blockBytes > BLOCK_BYTES_MAX) {
    throw new StorageError(
      'invalid',
      `a device cannot have blocks of ${blockBytes} bytes: 512, 1024, 2048 and 4096 are possible`,
    );
  }
  if (blockBytes < volumeBlockBytes) {
    throw new StorageError(
      'invalid',
      `volume ${volumeName} has blocks of ${volumeBlockBytes} bytes; its device cannot have smaller ones (${blockBytes})`,
    );
  }
  if (sizeBytes % blockBytes !== 0) {
    throw new StorageError(
      'invalid',
      `the size of volume ${volumeName}, ${sizeBytes} bytes, is no multiple of the block size ${blockBytes}; resize it`,
    );
  }
  return { connections: wish.connections, blockBytes };
}
