/**
 * The workers of blkferryd (setting `workers`): each attached volume lives in one of them. The main thread keeps what is
 * about more than one volume: attachments, listeners, handshakes, TLS, the kernel's devices, the log.
 */
import type { AttachmentRecord } from '../admin/attachment-record.js';
import type { AttachmentOpener, OpenedVolume, OpenOptions } from '../admin/opened-volume.js';
import type { VolumeOpener } from '../admin/volume-opener.js';
import type { AttachRequestMessage } from '../rpc/admin-messages.js';
import type { VolumeThread } from './volume-thread.js';

export class VolumeThreads implements AttachmentOpener {
  /** @param opener of the main thread: it finds volumes, and opens none */
  constructor(
    readonly threads: readonly [VolumeThread, ...VolumeThread[]],
    readonly opener: VolumeOpener,
  ) {}

  newRecord(
    request: AttachRequestMessage,
    exportName: string,
    node: string,
    attachedUnixMs: number,
  ): Promise<AttachmentRecord> {
    return this.opener.newRecord(request, exportName, node, attachedUnixMs);
  }

  /** In the thread with the fewest volumes. @throws StorageError 'denied' for a node that plain text must not go to */
  open(record: AttachmentRecord, options: OpenOptions): OpenedVolume {
    const { pool } = this.opener;
    pool.take(record.node);
    pool.give(record.node);
    const quietest = this.threads.reduce((best, one) =>
      one.volumeCount < best.volumeCount ? one : best,
    );
    return quietest.open(record, options);
  }
}
