/** Looks for replay logs that are nobody's, at the start of the daemon. */
import fs from 'node:fs';
import path from 'node:path';
import type { AttachmentRecord } from './attachment-record.js';

/**
 * Replay logs that no attachment claims, as sentences. They are left alone: if attachments.json was moved
 * away, they hold the only copy of what was not flushed.
 */
export function orphanLogs(replayFolder: string, known: readonly AttachmentRecord[]): string[] {
  if (!fs.existsSync(replayFolder)) return [];
  const ids = new Set(known.map(({ attachmentId }) => attachmentId));
  return fs
    .readdirSync(replayFolder)
    .filter((name) => !ids.has(name))
    .map(
      (name) =>
        `${path.join(replayFolder, name)} belongs to no attachment; remove it if its writes are not missed`,
    );
}
