/** An attachment as the admin API shows it. */
import type { AttachmentMessage, AttachmentState, CountersMessage } from '../rpc/admin-messages.js';
import type { Volume } from '../volume/volume.js';
import type { VolumeStateName } from '../volume/volume-state.js';
import type { AttachmentRecord } from './attachment-record.js';

const STATES: Readonly<Record<VolumeStateName, AttachmentState>> = {
  connecting: 'connecting',
  active: 'active',
  holding: 'holding',
  failing: 'failing',
  fenced: 'fenced',
  closed: 'draining',
};

export function describeAttachment(
  record: AttachmentRecord,
  volume: Volume,
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
    generation: volume.generation,
    state: volume.draining ? 'draining' : STATES[state.name],
    detail: 'detail' in state ? state.detail : '',
    sizeBytes: facts.sizeBytes,
    blockBytes: facts.blockBytes,
    uris,
    clientCount,
    counters: describeCounters(volume),
    attachedUnixMs: record.attachedUnixMs,
  };
}

function describeCounters(volume: Volume): CountersMessage {
  return {
    ...volume.counters,
    requestsInFlight: volume.requestsInFlight,
    bytesInFlight: volume.bytesInFlight,
    unflushedBytes: volume.unflushedBytes,
  };
}
