/**
 * The file of the audit log: lines are appended in order, beside the work and never in its way. A file that
 * was renamed or removed (logrotate) is made anew before the next line. What cannot be written (full disk,
 * a disk that does not answer) is handed back, and the next line tries again.
 *
 * Lines are not synced: a power cut may take the last seconds.
 */
import fs, { type FileHandle } from 'node:fs/promises';
import type { Clock } from './clock.js';

/** Lines that wait for the disk. Acts of people and their scripts; a disk that is this far behind hangs. */
export const AUDIT_LINES_WAITING_MAX = 1024;
/** How long a stop waits for lines that are being written. */
export const AUDIT_CLOSE_TIMEOUT_MS = 2000;

export interface AuditFileOptions {
  /** Called with each line that is not, or perhaps not as a whole, in the file. */
  readonly lost: (line: string, reason: string) => void;
  readonly clock: Clock;
}

export class AuditFile {
  #handle: FileHandle | undefined;
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  /** The file ends within a line. */
  #isTorn = false;

  private constructor(
    readonly path: string,
    readonly options: AuditFileOptions,
  ) {}

  /** @throws Error with a sentence */
  static async open(path: string, options: AuditFileOptions): Promise<AuditFile> {
    const file = new AuditFile(path, options);
    try {
      file.#handle = await openForAppending(path);
    } catch (cause) {
      throw new Error(
        `the audit file cannot be opened: ${(cause as Error).message}; choose another one with audit.file`,
        { cause },
      );
    }
    return file;
  }

  /** One line with its line feed, as bunyan writes to its streams. */
  write(line: string): void {
    if (this.#waiting.length >= AUDIT_LINES_WAITING_MAX) {
      this.options.lost(line, `${AUDIT_LINES_WAITING_MAX} records wait for it already`);
      return;
    }
    this.#waiting.push(line);
    this.#writing ??= this.#writeAll();
  }

  /** Waits for what is being written, but not for a disk that hangs. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.options.clock.setTimer(AUDIT_CLOSE_TIMEOUT_MS, resolve);
      void Promise.resolve(this.#writing).then(() => {
        cancel();
        resolve();
      });
    });
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const line of waiting) this.options.lost(line, 'it did not take it in time');
    if (this.#writing === undefined) await this.#handle?.close().catch(() => undefined);
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      try {
        await this.#append(lines.join(''));
      } catch (error) {
        for (const line of lines) this.options.lost(line, (error as Error).message);
      }
    }
    this.#writing = undefined;
  }

  async #append(text: string): Promise<void> {
    const handle = await this.#current();
    const bytes = Buffer.from(this.#isTorn ? `\n${text}` : text);
    for (let doneBytes = 0; doneBytes < bytes.length;) {
      const { bytesWritten } = await handle.write(bytes, doneBytes);
      doneBytes += bytesWritten;
      this.#isTorn = bytes[doneBytes - 1] !== LINE_FEED;
    }
  }

  /** The file that has the path now. */
  async #current(): Promise<FileHandle> {
    const open = this.#handle;
    if (open !== undefined) {
      const [ours, there] = await Promise.all([
        open.stat(),
        fs.stat(this.path).catch(() => undefined),
      ]);
      if (there?.ino === ours.ino && there.dev === ours.dev) return open;
      this.#handle = undefined;
      await open.close();
    }
    const handle = await openForAppending(this.path);
    this.#handle = handle;
    this.#isTorn = false;
    return handle;
  }
}

const LINE_FEED = 0x0a;

/** Made for its owner alone; one that is there keeps its mode. */
async function openForAppending(path: string): Promise<FileHandle> {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK } = fs.constants;
  // Not blocking: a pipe without a reader would hold a thread for ever.
  const handle = await fs.open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o600);
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new Error(`${path} is no ordinary file`);
}
