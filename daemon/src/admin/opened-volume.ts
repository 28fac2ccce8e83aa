/** What an attachment has of its volume, and who makes it: volume-opener.ts here, workers/volume-threads.ts in threads. */
import type { SessionHost } from '../frontend/session-host.js';
import type { AttachRequestMessage } from '../rpc/admin-messages.js';
import type { AttachedVolume } from '../volume/attached-volume.js';
import type { AttachmentRecord } from './attachment-record.js';

export interface OpenedVolume {
  readonly volume: AttachedVolume;
  /** Where its clients and its device are served; absent: in this thread. */
  readonly host?: SessionHost;
  /** Counted from 1, of the thread that it lives in; absent: it lives in this one. */
  readonly worker?: number;
  /**
   * Ends the volume and gives its node's channel back. With `forget` the attachment is over: the replay
   * log is removed and the lease given up, as far as the node is there.
   */
  close(options: { forget: boolean }): Promise<void>;
}

export interface OpenOptions {
  readonly takeOver: boolean;
  /** Of a standby: the lease is about to be taken over, once this has ended. What it throws hinders that. */
  readonly onClaim: () => void | Promise<void>;
  /** The volume's size or state is another than before. */
  readonly onChange?: () => void;
}

export interface AttachmentOpener {
  /** What is to be kept of a new attachment. @throws StorageError if there is no such volume, or no node */
  newRecord(
    request: AttachRequestMessage,
    exportName: string,
    node: string,
    attachedUnixMs: number,
  ): Promise<AttachmentRecord>;
  /** Begins nothing: the caller starts the volume. One whose replay log cannot be used is fenced already. */
  open(record: AttachmentRecord, options: OpenOptions): OpenedVolume;
}
