/**
 * What is attached: the stories of Attach, Detach and the restart, each as its steps in order. Every
 * story works on one export name at a time; what a failed step leaves is undone by the steps' undos in
 * reverse.
 */
import type { ExportTable } from '../frontend/export-table.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import type {
  AttachmentMessage,
  AttachReplyMessage,
  AttachRequestMessage,
  DetachReplyMessage,
  DetachWish,
} from '../rpc/admin-messages.js';
import { StorageError } from '../rpc/storage-error.js';
import type { AttachedVolume } from '../volume/attached-volume.js';
import type { AttachmentFile } from './attachment-file.js';
import { toExport } from './attachment-export.js';
import { describeAttachment } from './attachment-message.js';
import { claimed, type AttachmentRecord } from './attachment-record.js';
import {
  refuseClients,
  refuseMalformed,
  refuseOtherSettings,
  refuseSecondWriter,
  refuseUnknown,
  refuseUsedId,
} from './attachment-refusal.js';
import { isWanted, noteDevice, type Attachment } from './attachment.js';
import { stopAttachment } from './attachment-stop.js';
import type { DeviceKeeper } from './device-keeper.js';
import type { AttachmentOpener } from './opened-volume.js';
import { StoryOrder } from './story-order.js';

export interface AttachmentsOptions {
  readonly file: AttachmentFile;
  readonly opener: AttachmentOpener;
  readonly exports: ExportTable;
  readonly devices: DeviceKeeper;
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
  readonly #order = new StoryOrder();
  #stopping = false;

  constructor(readonly options: AttachmentsOptions) {}

  /** Sorted by export name. */
  list(): AttachmentMessage[] {
    const names = [...this.#attachments.keys()].sort();
    return names.map((name) => this.get(name));
  }

  get(exportName: string): AttachmentMessage {
    const clients = this.options.exports.clientCount(exportName);
    const uris = this.options.urisOf(exportName);
    return describeAttachment(this.#require(exportName), uris, clients);
  }

  /** What was counted, here and in other threads, is what `get` and `list` show next. @param exportName absent: of all */
  async refresh(exportName?: string): Promise<void> {
    const wanted =
      exportName === undefined ? [...this.#attachments.values()] : [this.#require(exportName)];
    await Promise.all(wanted.map(async ({ opened }) => opened.volume.refresh?.()));
  }

  /** Every attachment has reached its node once, and has the device that it had before a restart. */
  get isComplete(): boolean {
    return [...this.#attachments.values()].every(
      ({ record, opened, device }) =>
        opened.volume.state.name !== 'connecting' &&
        (record.device === undefined || device !== undefined),
    );
  }

  get count(): number {
    return this.#attachments.size;
  }

  /** For what is asked of a volume itself. @throws StorageError 'not-found' */
  volumeOf(exportName: string): AttachedVolume {
    return this.#require(exportName).opened.volume;
  }

  /** The Attach story. */
  attach(request: AttachRequestMessage): Promise<AttachReplyMessage> {
    const exportName = request.exportName === '' ? request.volume : request.exportName;
    const node = request.node === '' ? this.options.defaultNode : request.node;
    return this.#story(exportName, async () => {
      refuseMalformed({ ...request, exportName, node });
      const there = this.#attachments.get(exportName);
      if (there !== undefined) {
        refuseOtherSettings(there.record, { ...request, node });
        return { attachment: this.get(exportName), existed: true, deviceProblem: '' };
      }

      refuseUsedId(request.attachmentId, this.#records());
      const nowMs = this.options.wallClock();
      const record = await this.options.opener.newRecord(request, exportName, node, nowMs);
      refuseSecondWriter(record, this.#records());
      const attachment = this.#open(record, request.takeOver);
      const { opened } = attachment;
      let deviceProblem = '';
      try {
        await opened.volume.start();
        const made = await this.options.devices.connect(record, opened, request);
        if ('problem' in made) deviceProblem = made.problem;
        else noteDevice(attachment, made);
        this.options.exports.add(toExport(record, opened));
        this.#attachments.set(exportName, attachment);
        this.#writeFile();
      } catch (error) {
        this.#attachments.delete(exportName);
        await this.options.exports.remove(exportName);
        await attachment.device?.disconnect();
        await opened.close({ forget: true });
        throw error;
      }
      const { generation } = opened.volume;
      this.options.logger.info(
        { event: 'attached', ...attachment.record, generation, device: attachment.device?.path },
        `volume ${record.volume} is attached as ${exportName}`,
      );
      return { attachment: this.get(exportName), existed: false, deviceProblem };
    });
  }

  /** The Detach story. */
  detach({ exportName, force, attachmentIds, waitMs }: DetachWish): Promise<DetachReplyMessage> {
    return this.#story(exportName, async () => {
      const attachment = this.#attachments.get(exportName);
      if (!isWanted(attachment, attachmentIds)) return { absent: true, discardedBytes: 0 };
      const { devices, logger } = this.options;
      const { record, opened, device } = attachment;
      if (!force) {
        await opened.volume.refresh?.();
        refuseClients(exportName, this.options.exports.clientCount(exportName));
      }
      // Nobody may begin to use the device now; by force those who do get errors at once.
      let giveBack: (() => Promise<void>) | undefined;
      if (device !== undefined && !device.isGone) {
        if (force) await device.disconnect();
        else giveBack = await devices.claim(device, waitMs);
      }
      let discardedBytes: number;
      try {
        discardedBytes = await this.#drain(attachment, force);
        this.#forget(attachment);
        await device?.disconnect(giveBack);
      } catch (error) {
        await giveBack?.();
        throw error;
      }
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
   * its volumes go on trying, and its devices get their sockets when it is back.
   * @returns settled when every volume has had its first try
   */
  async restore(): Promise<void> {
    const records = this.options.file.read();
    await this.options.devices.endOrphans(records);
    const firstTries = records.map((record) => {
      const attachment = this.#open(record, false);
      this.#attachments.set(record.exportName, attachment);
      this.options.exports.add(toExport(record, attachment.opened));
      // A rejection is in the log already: the volume says so itself.
      return attachment.opened.volume.start().then(
        () => this.#order.run(record.exportName, () => this.#keepDevice(record.exportName)),
        () => undefined,
      );
    });
    await Promise.all(firstTries);
  }

  /**
   * Ordered stop: clients get the answers they wait for, every volume is flushed, as far as its node is
   * there by then. Records, leases, replay logs and devices stay. Further stories are refused.
   */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    const { clock } = this.options;
    const untilMs = clock.nowMs() + timeoutMs;
    // Stories under way go first: an attach may still add what has to be stopped.
    const names = new Set([...this.#attachments.keys(), ...this.#order.names()]);
    const stopOne = async (exportName: string): Promise<void> => {
      const attachment = this.#attachments.get(exportName);
      if (attachment === undefined || attachment.opened.volume.state.name === 'closed') return;
      await stopAttachment(attachment, untilMs, this.options);
    };
    await Promise.all(
      [...names].map((exportName) => this.#order.run(exportName, () => stopOne(exportName))),
    );
  }

  #require(exportName: string): Attachment {
    return this.#attachments.get(exportName) ?? refuseUnknown(exportName, this.#attachments);
  }

  /** A new attachment, not started; whenever its volume changes, its device follows. */
  #open(record: AttachmentRecord, takeOver: boolean): Attachment {
    const { exportName } = record;
    const onChange = (): void => {
      void this.#order.run(exportName, () => this.#keepDevice(exportName));
    };
    const onClaim = (): void => {
      attachment.record = claimed(attachment.record);
      if (this.#attachments.get(exportName) === attachment) this.#writeFile();
    };
    const opened = this.options.opener.open(record, { takeOver, onChange, onClaim });
    const attachment: Attachment = { record, opened, device: undefined };
    return attachment;
  }

  async #keepDevice(exportName: string): Promise<void> {
    const attachment = this.#attachments.get(exportName);
    if (this.#stopping || attachment === undefined) return;
    await this.options.devices.keep(attachment, () => {
      this.#writeFile();
    });
  }

  /** @returns bytes given up, only with force */
  async #drain(attachment: Attachment, force: boolean): Promise<number> {
    const { exports, drainTimeoutMs } = this.options;
    const { record, opened } = attachment;
    try {
      const drained = opened.volume.drain(drainTimeoutMs, force ? 'node-away' : 'deadline');
      await Promise.all([exports.remove(record.exportName), drained]);
      return 0;
    } catch (error) {
      if (force) return opened.volume.unflushedBytes;
      this.#serveAgain(attachment);
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
    this.options.exports.add(toExport(record, opened));
    opened.volume.resume();
  }

  #records(): AttachmentRecord[] {
    return [...this.#attachments.values()].map(({ record }) => record);
  }

  #writeFile(): void {
    this.options.file.write(this.#records());
  }

  /** @throws StorageError 'unavailable' once the daemon is stopping */
  async #story<Value>(exportName: string, work: () => Promise<Value>): Promise<Value> {
    if (!this.#stopping) return this.#order.run(exportName, work);
    throw new StorageError(
      'unavailable',
      'blkferryd is stopping; try again when it has been started',
    );
  }
}
