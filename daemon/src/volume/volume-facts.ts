/** A volume's facts: unknown until its node has been reached, then what the session said. */
import type { DeviceFacts } from '../block/device-facts.js';
import type { OpenedFrame } from '../rpc/storage-messages.js';

/** Before the node has been reached nothing fits; requests are refused before they are checked. */
export const UNKNOWN_FACTS: DeviceFacts = {
  sizeBytes: 0,
  blockBytes: 1,
  preferredBytes: 4096,
  requestBytesMax: 0,
  capabilities: {
    canWrite: false,
    fua: 'emulated',
    canTrim: false,
    canFastZero: false,
    canBlockStatus: false,
  },
};

/** @param use what the volume is for: a standby's sessions only read, and yet it is written to later */
export function toDeviceFacts(
  opened: OpenedFrame,
  use: 'reading' | 'writing' | 'standby',
): DeviceFacts {
  const { canWrite } = opened.capabilities;
  return {
    sizeBytes: opened.volume.sizeBytes,
    blockBytes: opened.volume.blockBytes,
    preferredBytes: opened.preferredBytes,
    requestBytesMax: opened.requestBytesMax,
    capabilities: {
      ...opened.capabilities,
      canWrite: use === 'standby' || (canWrite && use === 'writing'),
    },
  };
}
