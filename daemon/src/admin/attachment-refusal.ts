/** Why an attachment cannot be made or found, in sentences that say what to do. */
import type { AttachRequestMessage } from '../rpc/admin-messages.js';
import { nodeProblem } from '../rpc/node-address.js';
import { StorageError } from '../rpc/storage-error.js';
import { checkExportName } from './attachment-export.js';
import type { AttachmentRecord } from './attachment-record.js';

/** So many names in a message are a hint; more are a list that nobody asked for. */
const NAMES_MAX = 10;

/** The id becomes the name of a folder, and what a node knows a writer by. */
const ATTACHMENT_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** @throws StorageError 'invalid' if what is asked for cannot be meant */
export function refuseMalformed(request: AttachRequestMessage): void {
  const { volume, exportName, node, attachmentId, standby, readOnly, takeOver } = request;
  if (volume === '') throw new StorageError('invalid', 'the name of a volume is missing');
  checkExportName(exportName);
  const problem = nodeProblem(node);
  if (problem !== undefined) throw new StorageError('invalid', problem);
  if (standby && (readOnly || takeOver)) {
    const other = readOnly ? 'read-only' : 'take-over';
    throw new StorageError('invalid', `standby and ${other} exclude each other: choose one`);
  }
  if (attachmentId === '' || ATTACHMENT_ID.test(attachmentId)) return;
  throw new StorageError(
    'invalid',
    `"${attachmentId.slice(0, 64)}" cannot be an attachment's id: it is a UUID in lower case, as uuidgen prints it`,
  );
}

/** @throws StorageError 'exists' */
export function refuseUsedId(attachmentId: string, others: readonly AttachmentRecord[]): void {
  const other = others.find((one) => one.attachmentId === attachmentId);
  if (other === undefined) return;
  throw new StorageError(
    'exists',
    `the attachment with the id ${attachmentId} is ${other.exportName}; give every attachment an id of its own`,
  );
}

/** @throws StorageError 'not-found' */
export function refuseUnknown(exportName: string, known: ReadonlyMap<string, unknown>): never {
  const names = [...known.keys()].sort().slice(0, NAMES_MAX);
  const others = names.length === 0 ? 'nothing is attached' : `attached: ${names.join(', ')}`;
  throw new StorageError('not-found', `nothing is attached as ${exportName}; ${others}`);
}

/** @throws StorageError 'refused' while clients use the export */
export function refuseClients(exportName: string, clientCount: number): void {
  if (clientCount === 0) return;
  throw new StorageError(
    'refused',
    `${clientCount} client${clientCount === 1 ? ' is' : 's are'} connected to ${exportName}; disconnect first, or use --force`,
  );
}

/**
 * The node would refuse it too, but could not say that it is this daemon.
 * @throws StorageError 'refused'
 */
export function refuseSecondWriter(
  record: AttachmentRecord,
  others: readonly AttachmentRecord[],
): void {
  if (record.readOnly) return;
  const other = others.find((one) => one.volumeId === record.volumeId && !one.readOnly);
  if (other === undefined) return;
  throw new StorageError(
    'refused',
    `volume ${record.volume} is attached by this daemon already, as ${other.exportName}; detach that first, or attach with --read-only`,
  );
}

/** @throws StorageError 'exists' if what is attached under that name is not what is asked for */
export function refuseOtherSettings(record: AttachmentRecord, request: AttachRequestMessage): void {
  const { exportName, volume, node, readOnly, device } = record;
  if (volume !== request.volume || node !== request.node || readOnly !== request.readOnly) {
    const mode = readOnly ? 'read-only' : 'for writing';
    throw new StorageError(
      'exists',
      `the export ${exportName} is volume ${volume} of ${node}, ${mode}; detach it, or choose another name with --name`,
    );
  }
  const { deviceBlockBytes, deviceConnections } = request;
  if (device === undefined && request.device === 'kernel') {
    throw new StorageError(
      'exists',
      `${exportName} is attached without a device; detach it, then attach it with --device`,
    );
  }
  if (device === undefined) return;
  const hasOthers =
    request.device === 'none' ||
    (deviceBlockBytes !== 0 && deviceBlockBytes !== device.blockBytes) ||
    (deviceConnections !== 0 && deviceConnections !== device.connections);
  if (!hasOthers) return;
  throw new StorageError(
    'exists',
    `${exportName} is attached with a device of ${device.blockBytes}-byte blocks and ${device.connections} connection${device.connections === 1 ? '' : 's'}; detach it first`,
  );
}
