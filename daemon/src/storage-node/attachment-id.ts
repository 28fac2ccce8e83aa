/** What an attachment may be called (storage.proto, AcquireLeaseRequest). */
import { StorageError } from '../rpc/storage-error.js';

const ATTACHMENT_ID_CHARS_MAX = 64;

/** @throws StorageError 'invalid' */
export function checkAttachmentId(attachmentId: string): void {
  if (attachmentId !== '' && attachmentId.length <= ATTACHMENT_ID_CHARS_MAX) return;
  throw new StorageError(
    'invalid',
    `attachment_id must have 1 to ${ATTACHMENT_ID_CHARS_MAX} characters, it has ${attachmentId.length}`,
  );
}
