/** Changes of a file, here while its disk keeps up, and else on other threads. */
import type { BlockRequest } from '../../../block/block-request.js';
import type { DiskPace } from './disk-pace.js';
import { writePieces, writePiecesAway } from './piece-writing.js';
import { RangeChange } from './range-change.js';
import type { Step } from './request-line.js';

/** What copying into the page cache takes, on a slow machine. */
const COPIED_BYTES_PER_MS = 1024 * 1024;
/** What a piece of a range takes at most, where no disk is waited for (QUICK_PIECE_BYTES). */
const RANGE_PIECE_MS = 50;

/** @throws Error of the system */
export function writeHere(fd: number, request: BlockRequest, pace: DiskPace): void {
  const begunMs = pace.begins();
  try {
    writePieces(fd, request.payload, request.offsetBytes);
  } finally {
    pace.ended(begunMs, request.lengthBytes / COPIED_BYTES_PER_MS);
  }
}

/** @param request a write, trim or write-zeroes */
export function changeSteps(fd: number, request: BlockRequest, pace: DiskPace): Step {
  if (request.kind === 'write') {
    return () => {
      if (pace.isSlow) return away(pace, () => writeAway(fd, request));
      writeHere(fd, request, pace);
      return true;
    };
  }
  const change = new RangeChange(fd, request);
  return () => {
    if (pace.isSlow) return away(pace, () => change.stepAway());
    const begunMs = pace.begins();
    try {
      return change.step();
    } finally {
      pace.ended(begunMs, RANGE_PIECE_MS);
    }
  };
}

async function writeAway(fd: number, { payload, offsetBytes }: BlockRequest): Promise<boolean> {
  await writePiecesAway(fd, payload, offsetBytes);
  return true;
}

async function away(pace: DiskPace, work: () => Promise<boolean>): Promise<boolean> {
  const begunMs = pace.sources.nowMs();
  try {
    return await work();
  } finally {
    pace.endedAway(pace.sources.nowMs() - begunMs);
  }
}
