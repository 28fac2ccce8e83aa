/**
 * volume.json: a volume's record on disk, checked when it is read. It has a spare, volume.json.new: a lease
 * must be granted also while the disk is full, or a daemon that comes back could not even read.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { replaceBySpare, writeWithSpare } from './atomic-file.js';
import { NAMED_HOLDER_FORMAT, VOLUME_RECORD_FORMAT, type VolumeRecord } from './volume-record.js';

const FILE_NAME = 'volume.json';

const RECORD = z.strictObject({
  format: z.literal([VOLUME_RECORD_FORMAT, NAMED_HOLDER_FORMAT]),
  volumeId: z.string().min(1),
  name: z.string().min(1),
  sizeBytes: z.int().positive(),
  blockBytes: z.int().positive(),
  backend: z.string().min(1),
  createdUnixMs: z.int(),
  generation: z.int().nonnegative(),
  holder: z
    .strictObject({
      attachmentId: z.string().min(1),
      description: z.string(),
      sinceUnixMs: z.int(),
      firstGeneration: z.int().positive(),
      clientNames: z.array(z.string()).exactOptional(),
    })
    .optional(),
});

/** @throws Error with a sentence that names the file if it is not a record of this format */
export async function readVolumeRecord(folder: string): Promise<VolumeRecord> {
  const file = path.join(folder, FILE_NAME);
  return parseVolumeRecord(file, await fs.readFile(file, 'utf8'));
}

/** @param file for messages @throws Error with a sentence, as above */
export function parseVolumeRecord(file: string, text: string): VolumeRecord {
  try {
    const { format: _format, ...record } = RECORD.parse(JSON.parse(text));
    return { ...record, holder: record.holder };
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new Error(`${file} is damaged or of another version: ${reason}`, { cause: error });
  }
}

/** For a folder that nobody looks into yet: durable after the folder itself is synced. */
export function writeNewVolumeRecord(folder: string, record: VolumeRecord): Promise<void> {
  return writeWithSpare(path.join(folder, FILE_NAME), volumeRecordText(record));
}

export function replaceVolumeRecord(folder: string, record: VolumeRecord): Promise<void> {
  return replaceBySpare(path.join(folder, FILE_NAME), volumeRecordText(record));
}

/** The file's text. */
export function volumeRecordText(record: VolumeRecord): string {
  const format =
    record.holder?.clientNames === undefined ? VOLUME_RECORD_FORMAT : NAMED_HOLDER_FORMAT;
  return `${JSON.stringify({ format, ...record }, undefined, 2)}\n`;
}
