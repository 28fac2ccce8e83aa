/** Which names and sizes a volume may have. */
import { StorageError } from '../rpc/storage-error.js';
import type { NewVolume } from './catalog.js';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const BLOCK_BYTES = [512, 1024, 2048, 4096];

/** @throws StorageError 'invalid' with the allowed form */
export function checkNewVolume(volume: NewVolume, backends: readonly string[]): void {
  if (!NAME.test(volume.name)) {
    throw new StorageError(
      'invalid',
      `"${volume.name}" cannot be a volume's name: 1 to 64 characters of A-Z a-z 0-9 . _ - are allowed, the first a letter or digit`,
    );
  }
  if (!BLOCK_BYTES.includes(volume.blockBytes)) {
    throw new StorageError(
      'invalid',
      `a block of ${volume.blockBytes} bytes is not possible: choose ${BLOCK_BYTES.join(', ')}`,
    );
  }
  if (!backends.includes(volume.backend)) {
    throw new StorageError(
      'invalid',
      `this node has no backend "${volume.backend}": it has ${backends.join(', ')}`,
    );
  }
  checkSize(volume.sizeBytes, volume.blockBytes);
}

export function checkSize(sizeBytes: number, blockBytes: number): void {
  if (sizeBytes > 0 && sizeBytes % blockBytes === 0) return;
  throw new StorageError(
    'invalid',
    `a volume of ${sizeBytes} bytes is not possible: the size must be a multiple of its block, ${blockBytes} bytes, and not 0`,
  );
}
