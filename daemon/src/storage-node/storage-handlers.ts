/**
 * The handlers of storage.proto's Storage service: who calls, may it, then StorageService does it; and what of
 * it belongs into the audit log. The right is asked before anything else, so that a refusal does not depend
 * on what there is.
 */
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { PeerCall } from '../rpc/peer-identity.js';
import type { ServedCall } from '../rpc/served-session.js';
import { toServiceError } from '../rpc/status-code.js';
import { StorageError } from '../rpc/storage-error.js';
import type {
  AcquireLeaseRequestMessage,
  CreateVolumeRequestMessage,
  DeleteVolumeRequestMessage,
  ReleaseLeaseRequestMessage,
  ResizeVolumeRequestMessage,
} from '../rpc/storage-messages.js';
import { NO_AUDIT, type AuditEntry } from '../runtime/audit-log.js';
import type { Caller } from './access-caller.js';
import type { StorageService } from './storage-service.js';
import { unaryHandler, type UnaryHandler } from './unary-handler.js';

/** Who is at the other end of a call. @throws StorageError 'denied' when that one is nobody to be served */
export type CallerOf = (call: PeerCall) => Caller;

/** As grpc.Server.addService wants it, with `withReadableRefusals`. */
export function storageHandlers(
  service: StorageService,
  callerOf: CallerOf,
): UntypedServiceImplementation {
  type Named = { name: string };
  const { gate } = service;
  const unary = <Request, Reply>(
    answer: (request: Request, caller: Caller) => Promise<Reply>,
  ): UnaryHandler<Request, Reply> =>
    unaryHandler(
      (request: Request, call) => answer(request, callerOf(call)),
      (error) => {
        const { log } = service.options;
        log.warn({ event: 'call_failed', err: error }, `call failed: ${String(error)}`);
      },
    );
  /** An administrative act on a volume: the right to administer it, and a record whatever comes of it. */
  const administering = <Request extends Named, Reply>(
    act: string,
    answer: (request: Request) => Promise<Reply>,
  ): UnaryHandler<Request, Reply> =>
    unary((request: Request, caller) =>
      audited(service, { act, object: `volume ${request.name}`, details: request }, caller, () => {
        gate.requireByName(caller, request.name, 'administer');
        return answer(request);
      }),
    );
  return {
    GetNode: unary((_request: object, caller) => {
      gate.control.requireKnown(caller);
      return service.getNode(caller);
    }),
    ListVolumes: unary((_request: object, caller) => {
      gate.control.requireKnown(caller);
      return service.listVolumes(caller);
    }),
    GetVolume: unary(({ name }: Named, caller) => {
      gate.requireByName(caller, name, 'see');
      return service.getVolume(name);
    }),
    CreateVolume: administering('CreateVolume', (request: CreateVolumeRequestMessage) =>
      service.createVolume(request),
    ),
    ResizeVolume: administering('ResizeVolume', (request: ResizeVolumeRequestMessage) =>
      service.resizeVolume(request),
    ),
    DeleteVolume: administering('DeleteVolume', (request: DeleteVolumeRequestMessage) =>
      service.deleteVolume(request),
    ),
    AcquireLease: unary((request: AcquireLeaseRequestMessage, caller) =>
      acquireLease(service, request, caller),
    ),
    ReleaseLease: unary((request: ReleaseLeaseRequestMessage, caller) => {
      gate.requireById(caller, request.volumeId, 'write');
      return service.releaseLease(request, caller);
    }),
    OpenSession: sessionHandler(service, callerOf),
  };
}

/** The same for sessions that come with a connection of their own. */
export function sessionHandler(
  service: StorageService,
  callerOf: CallerOf,
): (call: ServedCall) => void {
  return (call) => {
    let caller: Caller;
    try {
      caller = callerOf(call);
    } catch (error) {
      call.emit('error', toServiceError(error));
      return;
    }
    service.openSession(call, caller);
  };
}

/** A lease is everyday work; taking it from another is an administrative act. */
function acquireLease(
  service: StorageService,
  request: AcquireLeaseRequestMessage,
  caller: Caller,
): ReturnType<StorageService['acquireLease']> {
  const acquire = (): ReturnType<StorageService['acquireLease']> => {
    service.gate.requireById(caller, request.volumeId, 'write');
    return service.acquireLease(request, caller);
  };
  if (!request.takeOver) return acquire();
  const name = service.options.catalog.byId(request.volumeId)?.name;
  const object = name === undefined ? `volume id ${request.volumeId}` : `volume ${name}`;
  const { attachmentId, description } = request;
  const entry = {
    act: 'AcquireLease',
    object,
    details: { takeOver: true, attachmentId, description },
  };
  return audited(service, entry, caller, acquire);
}

async function audited<Reply>(
  service: StorageService,
  entry: Pick<AuditEntry, 'act' | 'object' | 'details'>,
  { label: client, peer }: Caller,
  answer: () => Promise<Reply>,
): Promise<Reply> {
  const { audit = NO_AUDIT } = service.options;
  try {
    const reply = await answer();
    audit.record({ ...entry, client, peer, result: 'done' });
    return reply;
  } catch (error) {
    const isDenied = error instanceof StorageError && error.kind === 'denied';
    const reason = error instanceof Error ? error.message : String(error);
    audit.record({ ...entry, client, peer, result: isDenied ? 'denied' : 'failed', reason });
    throw error;
  }
}
