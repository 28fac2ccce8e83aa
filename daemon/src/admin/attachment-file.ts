/**
 * attachments.json in the state directory: read once at start, replaced as a whole at every change,
 * durable before the change is answered. A damaged file stops the daemon: guessing what was attached
 * would be worse.
 */
import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
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

  /** @throws Error with a sentence if the file is damaged or of another version */
  read(): AttachmentRecord[] {
    if (!fs.existsSync(this.#file)) return [];
    const text = fs.readFileSync(this.#file, 'utf8');
    try {
      const { format, attachments } = FILE.parse(JSON.parse(text));
      if (format !== ATTACHMENTS_FORMAT) {
        throw new Error(`it has format ${format}, this version knows format ${ATTACHMENTS_FORMAT}`);
      }
      return z.array(ATTACHMENT_RECORD).parse(attachments);
    } catch (error) {
      const reason =
        error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
      throw new Error(
        `${this.#file} cannot be used: ${reason}; restore it, or move it away and attach the volumes again. Nothing was changed`,
        { cause: error },
      );
    }
  }

  /** Synchronous: attach and detach are rare, and nothing may come between. */
  write(attachments: readonly AttachmentRecord[]): void {
    const sorted = [...attachments].sort((left, right) =>
      left.exportName < right.exportName ? -1 : 1,
    );
    const text = `${JSON.stringify({ format: ATTACHMENTS_FORMAT, attachments: sorted }, undefined, 2)}\n`;
    const fd = fs.openSync(`${this.#file}.new`, 'w', 0o600);
    try {
      fs.writeSync(fd, text);
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
