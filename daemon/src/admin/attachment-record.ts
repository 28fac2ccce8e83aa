/** What is kept of each attachment, so that a restarted daemon makes it again. Format 1. */
import { z } from 'zod';

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
});

export type AttachmentRecord = z.infer<typeof ATTACHMENT_RECORD>;
