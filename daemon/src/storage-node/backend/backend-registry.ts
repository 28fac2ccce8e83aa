/** The backends that a node has, by name; the first is the default. */
import type { StorageBackend } from './backend.js';
import { FileBackend } from './file/file-backend.js';
import { MemoryBackend } from './memory/memory-backend.js';

export function createBackends(): StorageBackend[] {
  return [new FileBackend(), new MemoryBackend()];
}
