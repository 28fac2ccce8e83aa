/** An export as the NBD handshake announces it: device facts in NBD's words. */
import { NBD_FLAG, type ExportFacts } from 'nbd-server-helpers';
import { REQUEST_BYTES_MAX } from '../block/device-facts.js';
import type { Export } from './export-table.js';

/** The one metadata context we know: which parts of the device are allocated. */
const BASE_ALLOCATION = 'base:allocation';

/** NBD's preferred block size is at least this: most file systems' block. */
const PREFERRED_BYTES_MIN = 4096;

/**
 * FLUSH and FUA are always offered: a guest's fsync must mean something. CAN_MULTI_CONN is honest,
 * because a volume's flush covers the writes of all its connections.
 */
export function toExportFacts(entry: Pick<Export, 'name' | 'description' | 'device'>): ExportFacts {
  const { sizeBytes, blockBytes, preferredBytes, requestBytesMax, capabilities } =
    entry.device.facts;
  let transmissionFlags =
    NBD_FLAG.HAS_FLAGS |
    NBD_FLAG.SEND_FLUSH |
    NBD_FLAG.SEND_FUA |
    NBD_FLAG.CAN_MULTI_CONN |
    NBD_FLAG.SEND_CACHE |
    NBD_FLAG.SEND_DF;
  if (capabilities.canWrite) {
    transmissionFlags |= NBD_FLAG.SEND_TRIM | NBD_FLAG.SEND_WRITE_ZEROES;
    if (capabilities.canFastZero) transmissionFlags |= NBD_FLAG.SEND_FAST_ZERO;
  } else {
    transmissionFlags |= NBD_FLAG.READ_ONLY;
  }
  return {
    name: entry.name,
    description: entry.description,
    sizeBytes,
    transmissionFlags,
    minimumBlockBytes: blockBytes,
    preferredBlockBytes: Math.max(preferredBytes, PREFERRED_BYTES_MIN),
    maximumPayloadBytes: Math.min(requestBytesMax, REQUEST_BYTES_MAX),
    metaContexts: [BASE_ALLOCATION],
  };
}
