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
  /** Read without a lease until something is written; gone from then on. */
  standby: z.literal(true).optional(),
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
export function newRecord(
  facts: Omit<AttachmentRecord, 'device' | 'standby'> & { readonly standby: boolean },
): AttachmentRecord {
  const { exportName, volume, volumeId, node, readOnly, attachedUnixMs } = facts;
  const attachmentId = facts.attachmentId === '' ? randomUUID() : facts.attachmentId;
  const standby = facts.standby ? { standby: true as const } : {};
  return { exportName, volume, volumeId, node, attachmentId, readOnly, attachedUnixMs, ...standby };
}

/** Of a standby whose lease is being taken over: after a restart it is a writer, and takes nothing over any more. */
export function claimed(record: AttachmentRecord): AttachmentRecord {
  const { standby: _was, ...writer } = record;
  return writer;
}
