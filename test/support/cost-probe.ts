/**
 * Counts what a piece of work costs in things that can be counted the same each time: promises, callbacks queued for the
 * same turn, other asynchronous resources, and bytes of buffers that were asked for. No clock is looked at, so the counts
 * are the same on a busy machine.
 */
import { createHook } from 'node:async_hooks';

export interface Cost {
  /** Also those of async functions, and of await. */
  readonly promises: number;
  /** process.nextTick, queueMicrotask. */
  readonly ticks: number;
  /** setImmediate and timers. */
  readonly timers: number;
  /** Bytes given out by Buffer.alloc, allocUnsafe, allocUnsafeSlow and concat. */
  readonly bufferBytes: number;
}

const TICKS = new Set(['TickObject', 'Microtask']);
const TIMERS = new Set(['Immediate', 'Timeout']);

/** Runs the work. Nothing else may go on in the process. */
export async function costOf(work: () => Promise<void>): Promise<Cost> {
  const cost = { promises: 0, ticks: 0, timers: 0, bufferBytes: 0 };
  const hook = createHook({
    init: (_id, type) => {
      if (type === 'PROMISE') cost.promises += 1;
      else if (TICKS.has(type)) cost.ticks += 1;
      else if (TIMERS.has(type)) cost.timers += 1;
    },
  });
  const restore = watchBuffers((bytes) => {
    cost.bufferBytes += bytes;
  });
  hook.enable();
  try {
    await work();
  } finally {
    hook.disable();
    restore();
  }
  return cost;
}

function watchBuffers(allocated: (bytes: number) => void): () => void {
  type Give = (...words: unknown[]) => Buffer;
  const names = ['alloc', 'allocUnsafe', 'allocUnsafeSlow', 'concat'];
  const originals = Object.fromEntries(
    names.map((name) => [name, Reflect.get(Buffer, name) as Give]),
  );
  let isInside = false;
  for (const [name, original] of Object.entries(originals)) {
    const counted = (...words: unknown[]): Buffer => {
      // Those that others of them call count once.
      const isOuter = !isInside;
      isInside = true;
      try {
        const made = Reflect.apply(original, Buffer, words);
        if (isOuter) allocated(made.length);
        return made;
      } finally {
        if (isOuter) isInside = false;
      }
    };
    Reflect.set(Buffer, name, counted);
  }
  return () => {
    Object.assign(Buffer, originals);
  };
}
