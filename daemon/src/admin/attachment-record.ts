/** What is kept of each attachment, so that a restarted daemon makes it again. Format 1. */
import { randomUUID } from 'node:crypto';
import * as z from 'zod';

export const ATTACHMENTS_FORMAT = 1;

export const ATTACHMENT_RECORD = z.strictObject({
  exportName: z.string().min(1),
  volume: z.string().min(1),
  /** Which volume it was: one of the same name made later is another. */
  volumeId: z.string().min(1),
  node: z.string().min(1),
  /** What the node knows this writer by. */
  attachmentId: z.string().min(1),
  readOnly: z.boolean(),
  attachedUnixMs: z.int(),
  /** The block device of this kernel that shows it, if there is one. */
  device: z
    .strictObject({
      /** N of /dev/nbdN when it was connected; the kernel's word counts. */
      index: z.int().min(0),
      connections: z.int().min(1),
      /** Logical block size. */
      blockBytes: z.int().min(512),
    })
    .optional(),
});

export type AttachmentRecord = z.infer<typeof ATTACHMENT_RECORD>;

/** Of an attachment that begins: without a device, under an id of its own if none is given. */
export function newRecord(facts: Omit<AttachmentRecord, 'device'>): AttachmentRecord {
  const { exportName, volume, volumeId, node, readOnly, attachedUnixMs } = facts;
  const attachmentId = facts.attachmentId === '' ? randomUUID() : facts.attachmentId;
  return { exportName, volume, volumeId, node, attachmentId, readOnly, attachedUnixMs };
}
