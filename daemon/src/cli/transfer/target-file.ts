/**
 * A file as the target of an export. Content goes to FILE.partial and gets its name only when it is
 * complete, synced and verified: a file of that name is always a whole image. Zeroes are not written,
 * so the file is sparse.
 */
import { open, rename, realpath, stat, unlink, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { CommandError } from '../exit-codes.js';
import { fileFailure } from '../command-failure.js';
import { ContentDigest } from './content-digest.js';
import { splitIntoRuns, type Piece } from './piece.js';
import { SourceFile } from './source-file.js';
import type { Target } from './target.js';
import type { TransferProgress } from './transfer-progress.js';

export class TargetFile implements Target {
  #handle: FileHandle | undefined;
  #partialExists = true;

  private constructor(
    /** The file as the user named it. */
    readonly name: string,
    /** The same with symbolic links followed. */
    readonly filePath: string,
    readonly partialPath: string,
    readonly replace: boolean,
    handle: FileHandle,
  ) {
    this.#handle = handle;
  }

  /**
   * @param replace an existing file, or a FILE.partial that was left behind, may be replaced
   * @throws CommandError 'refused' when it exists and may not be replaced
   */
  static async create(name: string, replace: boolean): Promise<TargetFile> {
    const filePath = await resolveTarget(name, replace);
    const partialPath = `${filePath}.partial`;
    try {
      const handle = await open(partialPath, replace ? 'w' : 'wx', 0o600);
      return new TargetFile(name, filePath, partialPath, replace, handle);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
        throw fileFailure(error, 'create', partialPath);
      }
      throw new CommandError(
        'refused',
        `${partialPath} exists: another export is writing it, or one was killed; ` +
          'if none is running, use --force',
      );
    }
  }

  async write(piece: Piece): Promise<void> {
    for (const { offsetBytes, data } of splitIntoRuns(piece)) {
      if (data !== undefined) await this.#writeAll(offsetBytes, data);
    }
  }

  async finish(sizeBytes: number): Promise<void> {
    try {
      await this.#handle?.truncate(sizeBytes);
      await this.#handle?.sync();
      await this.#close();
    } catch (error) {
      throw fileFailure(error, 'write', this.partialPath);
    }
  }

  async readBack(progress: TransferProgress, signal: AbortSignal): Promise<ContentDigest> {
    const digest = new ContentDigest();
    const written = await SourceFile.open(this.partialPath);
    if (written === undefined) throw new CommandError('failed', `${this.partialPath} is no file`);
    try {
      progress.begin('verify', written.sizeBytes);
      for await (const piece of written.pieces(signal)) {
        digest.add(piece);
        progress.reached(piece.offsetBytes + piece.lengthBytes);
      }
    } finally {
      progress.end();
      await written.close();
    }
    return digest;
  }

  async commit(): Promise<void> {
    // Somebody may have made the file while we were busy.
    if (!this.replace) await resolveTarget(this.name, false);
    try {
      await rename(this.partialPath, this.filePath);
      this.#partialExists = false;
      const folder = await open(path.dirname(this.filePath), 'r');
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    } catch (error) {
      throw fileFailure(error, 'write', this.filePath);
    }
  }

  async abandon(): Promise<void> {
    await this.#close();
    if (!this.#partialExists) return;
    this.#partialExists = false;
    await unlink(this.partialPath);
  }

  async #writeAll(offsetBytes: number, data: Buffer): Promise<void> {
    if (this.#handle === undefined) throw new Error('the file has been finished');
    let doneBytes = 0;
    try {
      while (doneBytes < data.length) {
        const rest = data.length - doneBytes;
        const at = offsetBytes + doneBytes;
        const { bytesWritten } = await this.#handle.write(data, doneBytes, rest, at);
        doneBytes += bytesWritten;
      }
    } catch (error) {
      throw fileFailure(error, 'write', this.partialPath);
    }
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }
}

/** @returns the path to rename to. @throws CommandError when something is there that must stay */
async function resolveTarget(name: string, replace: boolean): Promise<string> {
  let isFile: boolean;
  try {
    isFile = (await stat(name)).isFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path.resolve(name);
    throw fileFailure(error, 'write', name);
  }
  if (!isFile) {
    throw new CommandError(
      'refused',
      `${name} exists and is not a regular file; to write into a device use: blkferry export VOLUME - > ${name}`,
    );
  }
  if (!replace) throw new CommandError('refused', `${name} exists; use --force to replace it`);
  return await realpath(name);
}
