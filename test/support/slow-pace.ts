/** The pace of a disk that a test sets: slow or not, whatever the calls take. */
import { DiskPace, SURELY_HELD_UP_MS } from '#daemon/storage-node/backend/file/disk-pace.js';

/** Found slow, and for ever, since its clock stands. */
export function slowPace(): DiskPace {
  let nowMs = 0;
  const pace = new DiskPace({ nowMs: () => nowMs, timesSlept: () => 0 });
  const begunMs = pace.begins();
  nowMs = SURELY_HELD_UP_MS;
  pace.ended(begunMs, 0);
  return pace;
}

/** By turns slow and quick, as the one who is asked says. */
export class ChangingPace extends DiskPace {
  constructor(readonly isSlowNow: () => boolean) {
    super();
  }

  override get isSlow(): boolean {
    return this.isSlowNow();
  }
}
