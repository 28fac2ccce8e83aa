/**
 * What the kernel is told to remember of a device (NBD_ATTR_BACKEND_IDENTIFIER), and gives back in
 * /sys/block/nbdN/backend: whose it is and which attachment plays it. The kernel refuses new sockets for a
 * device from anybody who does not say the same; udev takes the last part for /dev/blkferry/<name>.
 *
 *     blkferry:1:<daemon id>:<attachment id>:<export name>
 */
export interface DeviceIdentity {
  /** Of the state directory: another daemon on this machine has another. */
  readonly daemonId: string;
  readonly attachmentId: string;
  readonly exportName: string;
}

const FORM = /^blkferry:1:([^:]+):([^:]+):([^:]+)$/;

export function formatIdentifier({ daemonId, attachmentId, exportName }: DeviceIdentity): string {
  return `blkferry:1:${daemonId}:${attachmentId}:${exportName}`;
}

/** @returns undefined for what is not ours, or of a later form */
export function parseIdentifier(identifier: string): DeviceIdentity | undefined {
  const match = FORM.exec(identifier);
  if (match === null) return undefined;
  const [, daemonId = '', attachmentId = '', exportName = ''] = match;
  return { daemonId, attachmentId, exportName };
}
