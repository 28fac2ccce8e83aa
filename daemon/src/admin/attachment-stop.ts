/**
 * The end of one attachment in an ordered stop of the daemon. Clients first: no further request of
 * theirs is read, those in flight are answered; then what they wrote is made durable; then the volume is
 * closed. Record, lease, replay log and the kernel's device stay for the next start.
 */
import type { ExportTable } from '../frontend/export-table.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import type { Attachment } from './attachment.js';

interface Surroundings {
  readonly exports: ExportTable;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** @param untilMs of the clock: what is not answered or flushed by then is left as it is */
export async function stopAttachment(
  { record, opened, device }: Attachment,
  untilMs: number,
  { exports, clock, logger }: Surroundings,
): Promise<void> {
  const leftMs = (): number => Math.max(0, untilMs - clock.nowMs());
  let cancel: (() => void) | undefined;
  // A client that is left without an answer asks the next daemon again; an error would reach the file
  // system of its guest.
  const abandoned = new Promise<void>((resolve) => {
    cancel = clock.setTimer(leftMs(), resolve);
  });
  await Promise.all([exports.remove(record.exportName, abandoned), device?.stopServing(abandoned)]);
  cancel?.();
  try {
    await opened.volume.drain(leftMs());
  } catch (error) {
    logger.warn(
      { event: 'stopped_unflushed', exportName: record.exportName, error },
      `${(error as Error).message}; they are sent again at the next start`,
    );
  }
  await opened.close({ forget: false });
}
