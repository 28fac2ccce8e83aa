/** The door of the add-on: loads what `make -C kmod addon` built, or says how to build it. */
import { createRequire } from 'node:module';

const BUILT = './build/blkferry_kernel.node';

/** All of index.d.ts, so that a build of an older version is noticed at the call. */
const CALLS = [
  'fallocate',
  'fallocateAway',
  'seekData',
  'seekHole',
  'dataRuns',
  'dataRunsAway',
  'readCached',
  'lockExclusive',
  'exchangeNames',
  'socketPair',
  'nbdConnect',
  'nbdReconfigure',
  'nbdDisconnect',
  'nbdStatus',
  'nbdWatch',
  'setIoFlusher',
  'isIoFlusher',
  'forbidCoreDumps',
  'timesSlept',
  'lockPages',
  'replaceProcess',
  'sendDatagram',
  'hasHungUp',
  'duplicateFd',
];

/** From linux/falloc.h and linux/nbd.h, for programs that run without the add-on. */
const CONSTANTS = {
  FALLOC_FL_KEEP_SIZE: 1,
  FALLOC_FL_PUNCH_HOLE: 2,
  FALLOC_FL_ZERO_RANGE: 16,
  NBD_CFLAG_DESTROY_ON_DISCONNECT: 1,
  NBD_CFLAG_DISCONNECT_ON_CLOSE: 2,
};

function load() {
  let built = {};
  let reason = 'it was built from an older version';
  let cause;
  try {
    built = createRequire(import.meta.url)(BUILT);
  } catch (error) {
    // After its first line comes Node's list of who required it.
    [reason] = error.message.split('\n');
    cause = error;
  }
  const fail = () => {
    throw new Error(`the native add-on is not built (${reason}); run: make -C kmod addon`, {
      cause,
    });
  };
  const missing = CALLS.map((name) => [name, fail]);
  return { ...CONSTANTS, ...Object.fromEntries(missing), ...built };
}

const addon = load();

export const {
  fallocate,
  fallocateAway,
  seekData,
  seekHole,
  dataRuns,
  dataRunsAway,
  readCached,
  lockExclusive,
  exchangeNames,
  socketPair,
  nbdConnect,
  nbdReconfigure,
  nbdDisconnect,
  nbdStatus,
  nbdWatch,
  setIoFlusher,
  isIoFlusher,
  forbidCoreDumps,
  timesSlept,
  lockPages,
  replaceProcess,
  sendDatagram,
  hasHungUp,
  duplicateFd,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  NBD_CFLAG_DESTROY_ON_DISCONNECT,
  NBD_CFLAG_DISCONNECT_ON_CLOSE,
} = addon;
