/** The door of the add-on: loads what `make -C kmod addon` built, or says how to build it. */
import { createRequire } from 'node:module';

const BUILT = './build/blkferry_kernel.node';

function load() {
  try {
    return createRequire(import.meta.url)(BUILT);
  } catch (cause) {
    // After its first line comes Node's list of who required it.
    const [reason] = cause.message.split('\n');
    const fail = () => {
      throw new Error(`the native add-on is not built (${reason}); run: make -C kmod addon`, {
        cause,
      });
    };
    return {
      fallocate: fail,
      seekData: fail,
      seekHole: fail,
      lockExclusive: fail,
      exchangeNames: fail,
      // linux/falloc.h
      FALLOC_FL_KEEP_SIZE: 1,
      FALLOC_FL_PUNCH_HOLE: 2,
      FALLOC_FL_ZERO_RANGE: 16,
    };
  }
}

const addon = load();

export const {
  fallocate,
  seekData,
  seekHole,
  lockExclusive,
  exchangeNames,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
} = addon;
