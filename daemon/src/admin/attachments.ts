/**
 * What is attached: the stories of Attach, Detach and the restart, each as its steps in order. Every
 * story works on one export name at a time; what a failed step leaves is undone by the steps' undos in
 * reverse.
 */
import { randomUUID } from 'node:crypto';
import type { ExportTable } from '../frontend/export-table.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import type {
  AttachmentMessage,
  AttachReplyMessage,
  AttachRequestMessage,
  DetachReplyMessage,
  DetachRequestMessage,
} from '../rpc/admin-messages.js';
import { addressProblem } from '../rpc/node-address.js';
import { StorageError } from '../rpc/storage-error.js';
import type { StoragePool } from '../transport/storage-pool.js';
import type { AttachmentFile } from './attachment-file.js';
import { stopAttachment, type Attachment } from './attachment-stop.js';
import { checkExportName, toExport } from './attachment-export.js';
import { describeAttachment } from './attachment-message.js';
import type { AttachmentRecord } from './attachment-record.js';
import type { VolumeOpener } from './volume-opener.js';

export interface AttachmentsOptions {
  readonly file: AttachmentFile;
  readonly opener: VolumeOpener;
  readonly pool: StoragePool;
  readonly exports: ExportTable;
  readonly logger: Logger;
  readonly defaultNode: string;
  /** How long detach and shutdown wait for answers and a flush. */
  readonly drainTimeoutMs: number;
  /** Where clients reach an export. */
  readonly urisOf: (exportName: string) => string[];
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

export class Attachments {
  readonly #attachments = new Map<string, Attachment>();
  readonly #busy = new Map<string, Promise<unknown>>();
  #stopping = false;

  constructor(readonly options: AttachmentsOptions) {}

  /** Sorted by export name. */
  list(): AttachmentMessage[] {
    const names = [...this.#attachments.keys()].sort();
    return names.map((name) => this.get(name));
  }

  get(exportName: string): AttachmentMessage {
    const attachment = this.#attachments.get(exportName);
    if (attachment === undefined) throw this.#unknown(exportName);
    const { urisOf, exports } = this.options;
    return describeAttachment(
      attachment.record,
      attachment.opened.volume,
      urisOf(exportName),
      exports.clientCount(exportName),
    );
  }

  get count(): number {
    return this.#attachments.size;
  }

  /** The Attach story. */
  attach(request: AttachRequestMessage): Promise<AttachReplyMessage> {
    const exportName = request.exportName === '' ? request.volume : request.exportName;
    const node = request.node === '' ? this.options.defaultNode : request.node;
    return this.#story(exportName, async () => {
      if (request.volume === '')
        throw new StorageError('invalid', 'the name of a volume is missing');
      checkExportName(exportName);
      const problem = addressProblem(node);
      if (problem !== undefined) throw new StorageError('invalid', problem);
      const there = this.#attachments.get(exportName);
      if (there !== undefined) return this.#alreadyAttached(there.record, { ...request, node });

      const record = await this.#newRecord(exportName, node, request);
      this.#refuseSecondWriter(record);
      const opened = this.options.opener.open(record, request);
      try {
        await opened.volume.start();
        this.options.exports.add(toExport(record, opened.volume));
        this.#attachments.set(exportName, { record, opened });
        this.#writeFile();
      } catch (error) {
        this.#attachments.delete(exportName);
        await this.options.exports.remove(exportName);
        await opened.close({ forget: true });
        throw error;
      }
      const { generation } = opened.volume;
      this.options.logger.info(
        { event: 'attached', ...record, generation },
        `volume ${record.volume} is attached as ${exportName}`,
      );
      return { attachment: this.get(exportName), existed: false };
    });
  }

  /** The Detach story. */
  detach({ exportName, force }: DetachRequestMessage): Promise<DetachReplyMessage> {
    return this.#story(exportName, async () => {
      const attachment = this.#attachments.get(exportName);
      if (attachment === undefined) return { absent: true, discardedBytes: 0 };
      const { exports, drainTimeoutMs, logger } = this.options;
      const { record, opened } = attachment;
      const clients = exports.clientCount(exportName);
      if (clients > 0 && !force) {
        throw new StorageError(
          'refused',
          `${clients} client${clients === 1 ? ' is' : 's are'} connected to ${exportName}; disconnect first, or use --force`,
        );
      }
      const discardedBytes = await this.#drain(attachment, force, drainTimeoutMs);
      this.#forget(attachment);
      await opened.close({ forget: true });
      logger.info(
        { event: 'detached', ...record, discardedBytes },
        `volume ${record.volume} is detached from ${exportName}`,
      );
      return { absent: false, discardedBytes };
    });
  }

  /**
   * At start: every recorded attachment again, at once. A node that is away does not hold the daemon up:
   * its volumes go on trying.
   * @returns settled when every volume has had its first try
   */
  async restore(): Promise<void> {
    const firstTries = this.options.file.read().map((record) => {
      const opened = this.options.opener.open(record, { takeOver: false });
      this.options.exports.add(toExport(record, opened.volume));
      this.#attachments.set(record.exportName, { record, opened });
      // A rejection is in the log already: the volume says so itself.
      return opened.volume.start().catch(() => undefined);
    });
    await Promise.all(firstTries);
  }

  /**
   * Ordered stop: clients get the answers they wait for, every volume is flushed, as far as its node is
   * there by then. Records, leases and replay logs stay. Further stories are refused.
   */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    const { clock } = this.options;
    const untilMs = clock.nowMs() + timeoutMs;
    // Stories under way go first: an attach may still add what has to be stopped.
    const names = new Set([...this.#attachments.keys(), ...this.#busy.keys()]);
    const stopOne = async (exportName: string): Promise<void> => {
      const attachment = this.#attachments.get(exportName);
      if (attachment === undefined || attachment.opened.volume.state.name === 'closed') return;
      await stopAttachment(attachment, untilMs, this.options);
    };
    await Promise.all(
      [...names].map((exportName) => this.#oneAtATime(exportName, () => stopOne(exportName))),
    );
  }

  /** @returns bytes given up, only with force */
  async #drain(
    { record, opened }: Attachment,
    force: boolean,
    deadlineMs: number,
  ): Promise<number> {
    const { exports } = this.options;
    try {
      await Promise.all([exports.remove(record.exportName), opened.volume.drain(deadlineMs)]);
      return 0;
    } catch (error) {
      if (force) return opened.volume.unflushedBytes;
      this.#serveAgain({ record, opened });
      const { message } = error as Error;
      throw new StorageError(
        'unavailable',
        `${message}; try again when the node is back, or use --force to give them up`,
        { cause: error },
      );
    }
  }

  /** @throws StorageError if the record cannot be taken off the disk; the attachment goes on then */
  #forget(attachment: Attachment): void {
    const { exportName } = attachment.record;
    this.#attachments.delete(exportName);
    try {
      this.#writeFile();
    } catch (error) {
      this.#attachments.set(exportName, attachment);
      this.#serveAgain(attachment);
      throw error;
    }
  }

  /** After a drain that came to nothing. */
  #serveAgain({ record, opened }: Attachment): void {
    this.options.exports.add(toExport(record, opened.volume));
    opened.volume.resume();
  }

  async #newRecord(
    exportName: string,
    node: string,
    request: AttachRequestMessage,
  ): Promise<AttachmentRecord> {
    const client = this.options.pool.take(node);
    try {
      const { volumeId } = await client.getVolume(request.volume);
      return {
        exportName,
        volume: request.volume,
        volumeId,
        node,
        attachmentId: randomUUID(),
        readOnly: request.readOnly,
        attachedUnixMs: this.options.wallClock(),
      };
    } finally {
      this.options.pool.give(node);
    }
  }

  /** The node would refuse it too, but could not say that it is this daemon. */
  #refuseSecondWriter(record: AttachmentRecord): void {
    if (record.readOnly) return;
    for (const { record: other } of this.#attachments.values()) {
      if (other.volumeId !== record.volumeId || other.readOnly) continue;
      throw new StorageError(
        'refused',
        `volume ${record.volume} is attached by this daemon already, as ${other.exportName}; detach that first, or attach with --read-only`,
      );
    }
  }

  #alreadyAttached(record: AttachmentRecord, request: AttachRequestMessage): AttachReplyMessage {
    const same =
      record.volume === request.volume &&
      record.node === request.node &&
      record.readOnly === request.readOnly;
    if (same) return { attachment: this.get(record.exportName), existed: true };
    const mode = record.readOnly ? 'read-only' : 'for writing';
    throw new StorageError(
      'exists',
      `the export ${record.exportName} is volume ${record.volume} of ${record.node}, ${mode}; detach it, or choose another name with --name`,
    );
  }

  #unknown(exportName: string): StorageError {
    const known = [...this.#attachments.keys()].sort().slice(0, 10);
    const others = known.length === 0 ? 'nothing is attached' : `attached: ${known.join(', ')}`;
    return new StorageError('not-found', `nothing is attached as ${exportName}; ${others}`);
  }

  #writeFile(): void {
    this.options.file.write([...this.#attachments.values()].map(({ record }) => record));
  }

  /** @throws StorageError 'unavailable' once the daemon is stopping */
  async #story<Value>(exportName: string, work: () => Promise<Value>): Promise<Value> {
    if (!this.#stopping) return this.#oneAtATime(exportName, work);
    throw new StorageError(
      'unavailable',
      'blkferryd is stopping; try again when it has been started',
    );
  }

  async #oneAtATime<Value>(exportName: string, work: () => Promise<Value>): Promise<Value> {
    const before = this.#busy.get(exportName) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#busy.set(exportName, mine);
    try {
      return await mine;
    } finally {
      if (this.#busy.get(exportName) === mine) this.#busy.delete(exportName);
    }
  }
}
