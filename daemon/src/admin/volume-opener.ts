/**
 * Makes the volume of an attachment: its node's client, its replay log on disk, its limits. What is
 * left of the replay log of an earlier run decides under which generation the volume may come back.
 */
import os from 'node:os';
import path from 'node:path';
import type { DaemonConfig } from '../config/daemon-config.js';
import { readBootId } from '../runtime/boot-id.js';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import { BusyPoll } from '../runtime/busy-poll.js';
import type { EventLog } from '../runtime/logger.js';
import type { AttachRequestMessage } from '../rpc/admin-messages.js';
import { isLocalNode } from '../rpc/node-address.js';
import type { StoragePool } from '../transport/storage-pool.js';
import { ReplayFile, type RecoveredReplay } from '../volume/replay-file.js';
import { ReplayLog } from '../volume/replay-log.js';
import { MemoryReplayStore, type ReplayStore } from '../volume/replay-store.js';
import { Volume } from '../volume/volume.js';
import { newRecord, type AttachmentRecord } from './attachment-record.js';
import type { AttachmentOpener, OpenedVolume, OpenOptions } from './opened-volume.js';

/** As opened here. */
export interface LocalVolume extends OpenedVolume {
  readonly volume: Volume;
}

export class VolumeOpener implements AttachmentOpener {
  /** One for all volumes of this thread: there is one event loop. */
  readonly #busyPoll: BusyPoll;

  constructor(
    readonly config: DaemonConfig,
    readonly pool: StoragePool,
    readonly logger: EventLog,
  ) {
    this.#busyPoll = new BusyPoll(config.busy_poll);
  }

  async newRecord(
    request: AttachRequestMessage,
    exportName: string,
    node: string,
    attachedUnixMs: number,
  ): Promise<AttachmentRecord> {
    const client = this.pool.take(node);
    try {
      const { volumeId } = await client.getVolume(request.volume);
      return newRecord({ ...request, exportName, node, volumeId, attachedUnixMs });
    } finally {
      this.pool.give(node);
    }
  }

  open(record: AttachmentRecord, options: OpenOptions): LocalVolume {
    const { config, pool, logger } = this;
    const { replayLog, store, expectedGeneration, problem } = this.#replayLog(record);
    const volume = new Volume({
      link: {
        client: pool.take(record.node),
        volumeName: record.volume,
        volumeId: record.volumeId,
        attachmentId: record.attachmentId,
        description: `blkferryd[${process.pid}] on ${os.hostname()}, export ${record.exportName}`,
        readOnly: record.readOnly,
        takeOver: options.takeOver,
        claiming: record.standby === true ? options.onClaim : undefined,
        expectedGeneration,
        checksum: this.#checksum(record.node),
        clock: SYSTEM_CLOCK,
        random: Math.random,
      },
      limits: { queueDepth: config.queue_depth, bytesMax: config.in_flight_bytes_max },
      replayLog,
      writeCache: config.write_cache === 'on',
      readAheadBytes: config.read_ahead,
      ioHoldTimeoutMs: config.io_hold_timeout,
      clock: SYSTEM_CLOCK,
      // By then gRPC has handed the frame to the socket: the log is written while the node works.
      defer: setImmediate,
      expectation: this.#busyPoll,
      onState: (state) => {
        const detail = 'detail' in state ? state.detail : '';
        const fields = {
          event: `volume_${state.name}`,
          exportName: record.exportName,
          volume: record.volume,
          node: record.node,
          detail,
        };
        const sentence = `volume ${record.volume} is ${state.name}${detail === '' ? '' : `: ${detail}`}`;
        if (state.name === 'active' || state.name === 'closed') logger.info(fields, sentence);
        else logger.warn(fields, sentence);
        options.onChange?.();
      },
      onFacts: () => {
        options.onChange?.();
      },
    });
    if (problem !== undefined) volume.refuse(problem);
    return {
      volume,
      close: async ({ forget }) => {
        await volume.close();
        this.#closeStore(record, store, forget);
        if (forget) await this.#release(record, volume);
        pool.give(record.node);
      },
    };
  }

  /** The folder of an attachment's replay log. */
  replayFolder(attachmentId: string): string {
    return path.join(this.config.runtime_directory, 'replay', attachmentId);
  }

  #replayLog(record: AttachmentRecord): {
    replayLog: ReplayLog;
    store: ReplayStore;
    expectedGeneration: number;
    /** Why what was not flushed cannot be known; the volume must not be used then. */
    problem?: string;
  } {
    const limits = {
      bytesMax: this.config.replay_bytes_max,
      entriesMax: this.config.replay_requests_max,
    };
    if (record.readOnly) {
      const store = new MemoryReplayStore();
      return { replayLog: new ReplayLog(store, limits), store, expectedGeneration: 0 };
    }
    let recovered: RecoveredReplay;
    try {
      const { volumeId, attachmentId } = record;
      const owner = { volumeId, attachmentId, bootId: readBootId() };
      recovered = ReplayFile.open(this.replayFolder(attachmentId), owner);
    } catch (error) {
      // This volume alone is in doubt; the others are served.
      const store = new MemoryReplayStore();
      const { message: problem } = error as Error;
      return { replayLog: new ReplayLog(store, limits), store, expectedGeneration: 0, problem };
    }
    const { store, records, identity, voidBytes } = recovered;
    if (voidBytes > 0) this.#warnOfVoid(record, voidBytes);
    const replayLog = new ReplayLog(store, limits, records);
    if (replayLog.count > 0) {
      this.logger.warn(
        {
          event: 'replay_log_found',
          exportName: record.exportName,
          requests: replayLog.count,
          bytes: replayLog.bytes,
          generation: identity.generation,
        },
        `${replayLog.count} unflushed writes of the last run of volume ${record.volume} will be sent again`,
      );
    }
    return { replayLog, store, expectedGeneration: replayLog.count > 0 ? identity.generation : 0 };
  }

  #warnOfVoid({ exportName, volume }: AttachmentRecord, voidBytes: number): void {
    this.logger.warn(
      { event: 'replay_log_void', exportName, bytes: voidBytes },
      `the replay log of volume ${volume} was ${voidBytes} bytes of before this machine's last boot and is removed: ` +
        `it was not synced, so it may be neither complete nor new; put runtime_directory on a tmpfs`,
    );
  }

  /** The attachment ends even if its replay log cannot be removed; the next start names what is left. */
  #closeStore(record: AttachmentRecord, store: ReplayStore, remove: boolean): void {
    try {
      store.close({ remove });
    } catch (error) {
      const { exportName, attachmentId } = record;
      this.logger.warn(
        { event: 'replay_log_left', exportName, error },
        `the replay log of ${exportName} was not removed: ${(error as Error).message}; remove ${this.replayFolder(attachmentId)}`,
      );
    }
  }

  async #release(record: AttachmentRecord, volume: Volume): Promise<void> {
    try {
      await volume.release();
    } catch (error) {
      this.logger.warn(
        { event: 'release_failed', exportName: record.exportName, error },
        `the lease of volume ${record.volume} was not given up: it will expire`,
      );
    }
  }

  #checksum(node: string): 'none' | 'crc32c' {
    switch (this.config.checksum) {
      case 'on':
        return 'crc32c';
      case 'off':
        return 'none';
      case 'auto':
        return isLocalNode(node) ? 'none' : 'crc32c';
    }
  }
}
