/** The handlers of admin.proto's Admin service: thin; the stories are attachments.ts. */
import os from 'node:os';
import type { sendUnaryData, ServerUnaryCall, UntypedServiceImplementation } from '@grpc/grpc-js';
import type {
  AttachRequestMessage,
  DaemonMessage,
  DetachRequestMessage,
  FailNowReplyMessage,
  FailNowRequestMessage,
  GetAttachmentRequestMessage,
  RetryNowRequestMessage,
} from '../rpc/admin-messages.js';
import type { Protection } from '../rpc/credentials.js';
import { protectionFacts } from '../rpc/protection-facts.js';
import type { PeerCall } from '../rpc/peer-identity.js';
import { toServiceError } from '../rpc/status-code.js';
import { StorageError } from '../rpc/storage-error.js';
import { NO_AUDIT, type AuditLog } from '../runtime/audit-log.js';
import type { Logger } from '../runtime/logger.js';
import type { RepeatedWarnings } from '../runtime/repeated-warnings.js';
import { VERSION } from '../runtime/version.js';
import { localCaller, requireRole, type AdminCaller } from './caller-role.js';
import type { Attachments } from './attachments.js';

export interface AdminServiceOptions {
  readonly attachments: Attachments;
  readonly nbdListeners: () => string[];
  readonly defaultNode: string;
  /** Threads that attachments are spread over. */
  readonly workers: number;
  /** Why no kernel device can be attached; empty if it can. */
  readonly deviceProblem: () => Promise<string>;
  readonly logger: Logger;
  /** Who was refused anywhere in the daemon. */
  readonly refusals: RepeatedWarnings;
  /** Of the daemon's connections to others; shown only. */
  readonly protection: Protection;
  /** Absent: administrative acts are in the ordinary log only. */
  readonly audit?: AuditLog;
}

/** @param callerOf who calls, and in which role */
export function adminHandlers(
  options: AdminServiceOptions,
  callerOf: AdminCallerOf = local,
): UntypedServiceImplementation {
  const { attachments, logger, refusals } = options;
  const unary = newUnary({
    callerOf,
    audit: options.audit ?? NO_AUDIT,
    onBug: (method, error) => {
      const sentence = `the call ${method} failed: ${error.message}`;
      logger.error({ event: 'admin_call_failed', method, error }, sentence);
    },
    onDenied: (method, { label: client, peer, reason }, sentence) => {
      const key = JSON.stringify([client, method, sentence]);
      const fields = { event: 'admin_call_refused', method, client, peer, reason };
      refusals.warn(key, fields, `${sentence} (${reason})`);
    },
  });
  return {
    Attach: unary('Attach', (request: AttachRequestMessage) => attachments.attach(request)),
    Detach: unary('Detach', (request: DetachRequestMessage) => attachments.detach(request)),
    ListAttachments: unary('ListAttachments', async () => {
      await attachments.refresh();
      return { attachments: attachments.list() };
    }),
    GetAttachment: unary('GetAttachment', async ({ exportName }: GetAttachmentRequestMessage) => {
      await attachments.refresh(exportName);
      return attachments.get(exportName);
    }),
    FailNow: unary(
      'FailNow',
      async ({ exportName }: FailNowRequestMessage): Promise<FailNowReplyMessage> => {
        const requestsFailed = await attachments.volumeOf(exportName).failNow();
        return { requestsFailed, attachment: attachments.get(exportName) };
      },
    ),
    RetryNow: unary('RetryNow', async (request: RetryNowRequestMessage) => {
      await attachments.volumeOf(request.exportName).retryNow();
      return { attachment: attachments.get(request.exportName) };
    }),
    GetDaemon: unary('GetDaemon', async (): Promise<DaemonMessage> => ({
      version: VERSION,
      hostname: os.hostname(),
      uptimeMs: Math.round(process.uptime() * 1000),
      residentBytes: process.memoryUsage.rss(),
      attachmentCount: attachments.count,
      nbdListeners: options.nbdListeners(),
      defaultNode: options.defaultNode,
      workers: options.workers,
      deviceProblem: await options.deviceProblem(),
      ...protectionFacts(options.protection),
      refusals: refusals.counts,
    })),
  };
}

/** Who is at the other end of a call. @throws StorageError 'denied' */
export type AdminCallerOf = (call: PeerCall) => AdminCaller;

function local(call: PeerCall): AdminCaller {
  return localCaller(call.getPeer());
}

interface CallKeeping {
  readonly callerOf: AdminCallerOf;
  /** Gets a record of every call that changes something, whatever came of it. */
  readonly audit: AuditLog;
  /** Hears of what is no StorageError: the caller gets the message, the log the whole of it. */
  readonly onBug: (method: string, error: Error) => void;
  readonly onDenied: (method: string, caller: AdminCaller, sentence: string) => void;
}

/** Makes handlers of functions; whatever these throw becomes a status with a sentence. */
function newUnary({ callerOf, audit, onBug, onDenied }: CallKeeping) {
  return <Request extends object, Reply extends object>(
      method: string,
      answer: (request: Request) => Promise<Reply> | Reply,
    ): ((call: ServerUnaryCall<Request, Reply>, reply: sendUnaryData<Reply>) => void) =>
    (call, reply) => {
      let caller: AdminCaller;
      try {
        caller = callerOf(call);
      } catch (error) {
        reply(toServiceError(error));
        return;
      }
      const note = (result: 'done' | 'denied' | 'failed', reason?: string): void => {
        const object = actObject(method, call.request);
        if (object === undefined) return;
        audit.record({
          act: method,
          client: caller.label,
          peer: caller.peer,
          object,
          details: call.request,
          result,
          ...(reason === undefined ? {} : { reason }),
        });
      };
      try {
        requireRole(caller, method, call.request);
      } catch (error) {
        const { message } = error as Error;
        note('denied', message);
        onDenied(method, caller, message);
        reply(toServiceError(error));
        return;
      }
      Promise.resolve(call.request)
        .then(answer)
        .then(
          (message) => {
            note('done');
            reply(null, message);
          },
          (error: unknown) => {
            note('failed', error instanceof Error ? error.message : String(error));
            if (error instanceof Error && !(error instanceof StorageError)) onBug(method, error);
            reply(toServiceError(error));
          },
        );
    };
}

/** Calls that only look at something are no administrative acts. */
const LOOKING: ReadonlySet<string> = new Set(['ListAttachments', 'GetAttachment', 'GetDaemon']);

/** What an act is done to, for the audit log; undefined if the call only looks. */
function actObject(method: string, request: object): string | undefined {
  if (LOOKING.has(method)) return undefined;
  const { exportName = '', volume = '' } = request as { exportName?: string; volume?: string };
  return `attachment ${exportName === '' ? volume : exportName}`;
}
