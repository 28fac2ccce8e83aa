/**
 * attachments.json in the state directory: read once at start, replaced as a whole at every change,
 * durable before the change is answered. A damaged file stops the daemon: guessing what was attached
 * would be worse.
 */
import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { StorageError } from '../rpc/storage-error.js';
import {
  ATTACHMENTS_FORMAT,
  ATTACHMENT_RECORD,
  type AttachmentRecord,
} from './attachment-record.js';

const FILE = z.object({ format: z.int(), attachments: z.array(z.unknown()) });

export class AttachmentFile {
  readonly #file: string;

  constructor(stateDirectory: string) {
    this.#file = path.join(stateDirectory, 'attachments.json');
  }

  /** @throws Error with a sentence if the file cannot be read, is damaged, or is of another version */
  read(): AttachmentRecord[] {
    const text = this.#text();
    return text === undefined ? [] : parseAttachments(this.#file, text);
  }

  /**
   * Synchronous: attach and detach are rare, and nothing may come between.
   * @throws StorageError with a sentence; what was recorded before is recorded still
   */
  write(attachments: readonly AttachmentRecord[]): void {
    try {
      this.#replace(attachmentsText(attachments));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new StorageError(
        code === 'ENOSPC' || code === 'EDQUOT' ? 'exhausted' : 'internal',
        `what is attached cannot be recorded: ${message}; free space in state_directory, or see to its permissions, and try again`,
        { cause: error },
      );
    }
  }

  #text(): string | undefined {
    try {
      return fs.readFileSync(this.#file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new Error(`what is attached cannot be read: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  #replace(text: string): void {
    const fd = fs.openSync(`${this.#file}.new`, 'w', 0o600);
    try {
      // Not writeSync, which may write a part only.
      fs.writeFileSync(fd, text);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(`${this.#file}.new`, this.#file);
    const folder = fs.openSync(path.dirname(this.#file), 'r');
    try {
      fs.fsyncSync(folder);
    } finally {
      fs.closeSync(folder);
    }
  }
}

/** The file's text; sorted, so that people find what they look for. */
export function attachmentsText(attachments: readonly AttachmentRecord[]): string {
  const sorted = [...attachments].sort((left, right) =>
    left.exportName < right.exportName ? -1 : 1,
  );
  return `${JSON.stringify({ format: ATTACHMENTS_FORMAT, attachments: sorted }, undefined, 2)}\n`;
}

/** @param file for messages @throws Error with a sentence if the text is damaged or of another version */
export function parseAttachments(file: string, text: string): AttachmentRecord[] {
  try {
    return parseRecords(text);
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new Error(
      `${file} cannot be used: ${reason}; restore it, or move it away and attach the volumes again. Nothing was changed`,
      { cause: error },
    );
  }
}

function parseRecords(text: string): AttachmentRecord[] {
  const { format, attachments } = FILE.parse(JSON.parse(text));
  if (format > ATTACHMENTS_FORMAT) {
    throw new Error(
      `it has format ${format}, this version knows format ${ATTACHMENTS_FORMAT}: a newer blkferryd wrote it, use that one`,
    );
  }
  if (format !== ATTACHMENTS_FORMAT) {
    throw new Error(`it has format ${format}, this version knows format ${ATTACHMENTS_FORMAT}`);
  }
  const records = z.array(ATTACHMENT_RECORD).parse(attachments);
  const names = records.map(({ exportName }) => exportName);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`it has the export ${twice} twice`);
  return records;
}
