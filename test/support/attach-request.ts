/** What the admin API is asked to attach: a volume under its own name, for NBD clients only, but for what a test says. */
import type { AttachRequestMessage } from '#daemon/rpc/admin-messages.js';

export function attachRequest(
  volume: string,
  more: Partial<AttachRequestMessage> = {},
): AttachRequestMessage {
  return {
    volume,
    node: '',
    exportName: '',
    readOnly: false,
    takeOver: false,
    device: 'none',
    deviceConnections: 0,
    deviceBlockBytes: 0,
    attachmentId: '',
    standby: false,
    ...more,
  };
}
