/** A daemon in memory for the command's tests: attachments, and what it was asked. */
import type { EventCount } from '#daemon/runtime/repeated-warnings.js';
import type { AdminClient } from '#daemon/cli/admin-client.js';
import type {
  AttachmentMessage,
  AttachReplyMessage,
  AttachRequestMessage,
  DaemonMessage,
  DetachReplyMessage,
  DetachWish,
  FailNowReplyMessage,
  RetryNowReplyMessage,
} from '#daemon/rpc/admin-messages.js';
import { StorageError } from '#daemon/rpc/storage-error.js';

export function attachment(fields: Partial<AttachmentMessage> = {}): AttachmentMessage {
  const exportName = fields.exportName ?? 'v1';
  return {
    exportName,
    volume: exportName,
    volumeId: '0b5ee09f-6b3c-4cdd-9d80-6f8fce8f4e0f',
    node: '127.0.0.1:7600',
    attachmentId: 'attachment-1',
    readOnly: false,
    standby: false,
    worker: 0,
    generation: 7,
    state: 'active',
    detail: '',
    sizeBytes: 20 * 1024 ** 3,
    blockBytes: 512,
    uris: [`nbd+unix:///${exportName}?socket=/run/blkferry/nbd.sock`],
    clientCount: 1,
    counters: {
      readRequests: 1000,
      readBytes: 4096 * 1000,
      writeRequests: 20,
      writeBytes: 4096 * 20,
      flushRequests: 3,
      otherRequests: 1,
      failedRequests: 0,
      requestsInFlight: 2,
      bytesInFlight: 8192,
      unflushedBytes: 65536,
      reconnects: 1,
      damagedSessions: 0,
      requestsReplayed: 4,
    },
    attachedUnixMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    device: {
      path: '/dev/nbd3',
      link: `/dev/blkferry/${exportName}`,
      major: 43,
      minor: 96,
      connections: 1,
      blockBytes: 512,
      liveConnections: 1,
    },
    ...fields,
  };
}

export class FakeDaemon implements AdminClient {
  address = '';
  attachments: AttachmentMessage[] = [];
  away: StorageError | undefined;
  attachError: StorageError | undefined;
  attachRequests: AttachRequestMessage[] = [];
  detachRequests: DetachWish[] = [];
  detachReply: DetachReplyMessage = { absent: false, discardedBytes: 0 };
  existed = false;
  deviceProblem = '';
  workers = 1;
  requestsFailed = 0;
  stateAfterFailNow: AttachmentMessage['state'] | undefined;
  closed = 0;

  attach(request: AttachRequestMessage): Promise<AttachReplyMessage> {
    this.attachRequests.push(request);
    if (this.attachError !== undefined) return Promise.reject(this.attachError);
    return this.#reply(() => ({
      attachment: attachment({ exportName: request.exportName || request.volume }),
      existed: this.existed,
      deviceProblem: this.deviceProblem,
    }));
  }

  detach(request: DetachWish): Promise<DetachReplyMessage> {
    this.detachRequests.push(request);
    return this.#reply(() => this.detachReply);
  }

  listAttachments(): Promise<AttachmentMessage[]> {
    return this.#reply(() => this.attachments);
  }

  getAttachment(exportName: string): Promise<AttachmentMessage> {
    return this.#reply(() => {
      const found = this.attachments.find((one) => one.exportName === exportName);
      if (found === undefined) throw new StorageError('not-found', 'no such export');
      return found;
    });
  }

  /** How its connections are protected. */
  protection = { insecure: false, certificateValidToMs: 0 };
  refusals: EventCount[] = [];

  getDaemon(): Promise<DaemonMessage> {
    return this.#reply(() => ({
      version: '0.1.0',
      hostname: 'dom0',
      uptimeMs: 93_784_000,
      residentBytes: 85 * 1024 * 1024,
      attachmentCount: this.attachments.length,
      nbdListeners: ['unix:/run/blkferry/nbd.sock'],
      defaultNode: '127.0.0.1:7600',
      deviceProblem: this.deviceProblem,
      ...this.protection,
      refusals: this.refusals,
      workers: this.workers,
    }));
  }

  failNow(exportName: string): Promise<FailNowReplyMessage> {
    return this.getAttachment(exportName).then((found) => ({
      requestsFailed: this.requestsFailed,
      attachment: { ...found, state: this.stateAfterFailNow ?? found.state },
    }));
  }

  retryNow(exportName: string): Promise<RetryNowReplyMessage> {
    return this.getAttachment(exportName).then((found) => ({ attachment: found }));
  }

  close(): void {
    this.closed += 1;
  }

  #reply<Value>(make: () => Value): Promise<Value> {
    return new Promise((resolve, reject) => {
      if (this.away !== undefined) reject(this.away);
      else resolve(make());
    });
  }
}
