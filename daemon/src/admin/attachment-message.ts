/** An attachment as the admin API shows it. */
import type {
  AttachmentMessage,
  AttachmentState,
  CountersMessage,
  KernelDeviceMessage,
} from '../rpc/admin-messages.js';
import type { KernelDevice } from '../frontend/kernel-device.js';
import type { AttachedVolume } from '../volume/attached-volume.js';
import type { VolumeStateName } from '../volume/volume-state.js';
import type { Attachment } from './attachment.js';

const STATES: Readonly<Record<VolumeStateName, AttachmentState>> = {
  connecting: 'connecting',
  active: 'active',
  holding: 'holding',
  failing: 'failing',
  fenced: 'fenced',
  closed: 'draining',
};

export function describeAttachment(
  { record, opened: { volume, worker = 0 }, device }: Attachment,
  uris: string[],
  clientCount: number,
): AttachmentMessage {
  const { state, facts } = volume;
  return {
    exportName: record.exportName,
    volume: record.volume,
    volumeId: record.volumeId,
    node: record.node,
    attachmentId: record.attachmentId,
    readOnly: record.readOnly,
    standby: record.standby === true,
    generation: volume.generation,
    state: volume.draining ? 'draining' : STATES[state.name],
    detail: 'detail' in state ? state.detail : '',
    sizeBytes: facts.sizeBytes,
    blockBytes: facts.blockBytes,
    uris,
    clientCount,
    counters: describeCounters(volume),
    attachedUnixMs: record.attachedUnixMs,
    worker,
    device: device === undefined || device.isGone ? undefined : describeDevice(device),
  };
}

function describeDevice(device: KernelDevice): KernelDeviceMessage {
  const { path, link, numbers, options, liveConnections } = device;
  const { connections, blockBytes } = options;
  return { path, link, ...numbers, connections, blockBytes, liveConnections };
}

function describeCounters(volume: AttachedVolume): CountersMessage {
  return {
    ...volume.counters,
    requestsInFlight: volume.requestsInFlight,
    bytesInFlight: volume.bytesInFlight,
    unflushedBytes: volume.unflushedBytes,
  };
}
