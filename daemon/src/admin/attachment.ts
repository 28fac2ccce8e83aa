/** One attachment while it lasts: its record, its volume, and the device of this kernel that shows it. */
import type { KernelDevice } from '../frontend/kernel-device.js';
import type { AttachmentRecord } from './attachment-record.js';
import type { OpenedVolume } from './opened-volume.js';

export type DeviceRecord = NonNullable<AttachmentRecord['device']>;

export interface Attachment {
  record: AttachmentRecord;
  readonly opened: OpenedVolume;
  /** Undefined: there is none, or not yet after a restart. */
  device: KernelDevice | undefined;
}

export interface MadeDevice {
  readonly device: KernelDevice;
  readonly record: DeviceRecord;
}

export function noteDevice(attachment: Attachment, made: MadeDevice): void {
  attachment.device = made.device;
  attachment.record = { ...attachment.record, device: made.record };
}

/** @param attachmentIds of those that are meant; none: any */
export function isWanted(
  attachment: Attachment | undefined,
  attachmentIds: readonly string[] = [],
): attachment is Attachment {
  if (attachment === undefined) return false;
  return attachmentIds.length === 0 || attachmentIds.includes(attachment.record.attachmentId);
}
