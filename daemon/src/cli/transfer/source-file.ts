/**
 * A file or a block device as a source. Holes of a file are not read; a file that changes while it is
 * read is noticed by its size and time, because half of one state and half of another is no image.
 */
import { open, readFile, type FileHandle } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';
import { CommandError } from '../exit-codes.js';
import { fileFailure } from '../command-failure.js';
import { nextDataOffset } from './file-holes.js';
import { PIECE_BYTES, pieceStart, type Piece } from './piece.js';
import type { Source } from './source.js';

/** Linux counts the size of a block device in these, whatever its own sector size. */
const KERNEL_SECTOR_BYTES = 512;

export class SourceFile implements Source {
  private constructor(
    readonly name: string,
    readonly sizeBytes: number,
    readonly handle: FileHandle,
    readonly openedAs: BigIntStats,
  ) {}

  /**
   * @returns undefined when the path is neither a file nor a block device: a pipe or a terminal, to be
   *   read as a stream
   * @throws CommandError
   */
  static async open(path: string): Promise<SourceFile | undefined> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, 'r');
      const stats = await handle.stat({ bigint: true });
      if (stats.isDirectory()) {
        throw new CommandError('usage', `${path} is a directory; name a file or a block device`);
      }
      const isDevice = stats.isBlockDevice();
      if (!isDevice && !stats.isFile()) {
        await handle.close();
        return undefined;
      }
      const sizeBytes = isDevice ? await blockDeviceBytes(stats.rdev) : Number(stats.size);
      return new SourceFile(path, sizeBytes, handle, stats);
    } catch (error) {
      await handle?.close();
      throw fileFailure(error, 'read', path);
    }
  }

  async *pieces(signal: AbortSignal): AsyncGenerator<Piece, void, void> {
    let offsetBytes = 0;
    while (offsetBytes < this.sizeBytes) {
      signal.throwIfAborted();
      const dataOffset = nextDataOffset(this.handle.fd, offsetBytes) ?? this.sizeBytes;
      const dataStart = dataOffset < this.sizeBytes ? pieceStart(dataOffset) : this.sizeBytes;
      if (dataStart > offsetBytes) {
        yield { offsetBytes, lengthBytes: dataStart - offsetBytes, data: undefined };
        offsetBytes = dataStart;
        continue;
      }
      const lengthBytes = Math.min(PIECE_BYTES, this.sizeBytes - offsetBytes);
      yield { offsetBytes, lengthBytes, data: await this.#read(offsetBytes, lengthBytes) };
      offsetBytes += lengthBytes;
    }
    await this.#checkUnchanged();
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  async #read(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const data = Buffer.allocUnsafe(lengthBytes);
    let doneBytes = 0;
    while (doneBytes < lengthBytes) {
      let bytesRead: number;
      try {
        const rest = lengthBytes - doneBytes;
        ({ bytesRead } = await this.handle.read(data, doneBytes, rest, offsetBytes + doneBytes));
      } catch (error) {
        throw fileFailure(error, `read byte ${offsetBytes + doneBytes} of`, this.name);
      }
      if (bytesRead === 0) {
        throw new CommandError(
          'failed',
          `${this.name} became shorter while it was read: it ends at byte ${offsetBytes + doneBytes} of ${this.sizeBytes}`,
        );
      }
      doneBytes += bytesRead;
    }
    return data;
  }

  async #checkUnchanged(): Promise<void> {
    if (!this.openedAs.isFile()) return;
    const now = await this.handle.stat({ bigint: true });
    if (now.size === this.openedAs.size && now.mtimeNs === this.openedAs.mtimeNs) return;
    throw new CommandError(
      'failed',
      `${this.name} changed while it was read; stop whatever writes to it and run again`,
    );
  }
}

/** A block device's size stands in sysfs: stat gives 0, and Node cannot seek to the end. */
async function blockDeviceBytes(device: bigint): Promise<number> {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  const sectors = await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8');
  return Number(sectors) * KERNEL_SECTOR_BYTES;
}
