/** The handlers of admin.proto's Admin service: thin; the stories are attachments.ts. */
import os from 'node:os';
import type { sendUnaryData, ServerUnaryCall, UntypedServiceImplementation } from '@grpc/grpc-js';
import type {
  AttachRequestMessage,
  DaemonMessage,
  DetachRequestMessage,
  GetAttachmentRequestMessage,
} from '../rpc/admin-messages.js';
import { toServiceError } from '../rpc/status-code.js';
import { VERSION } from '../runtime/version.js';
import type { Attachments } from './attachments.js';

export interface AdminServiceOptions {
  readonly attachments: Attachments;
  readonly nbdListeners: () => string[];
  readonly defaultNode: string;
}

export function adminHandlers(options: AdminServiceOptions): UntypedServiceImplementation {
  const { attachments } = options;
  return {
    Attach: unary((request: AttachRequestMessage) => attachments.attach(request)),
    Detach: unary((request: DetachRequestMessage) => attachments.detach(request)),
    ListAttachments: unary(() => ({ attachments: attachments.list() })),
    GetAttachment: unary((request: GetAttachmentRequestMessage) =>
      attachments.get(request.exportName),
    ),
    GetDaemon: unary((): DaemonMessage => ({
      version: VERSION,
      hostname: os.hostname(),
      uptimeMs: Math.round(process.uptime() * 1000),
      residentBytes: process.memoryUsage.rss(),
      attachmentCount: attachments.count,
      nbdListeners: options.nbdListeners(),
      defaultNode: options.defaultNode,
    })),
  };
}

/** A function as a unary handler; whatever it throws becomes a status with a sentence. */
function unary<Request extends object, Reply extends object>(
  answer: (request: Request) => Promise<Reply> | Reply,
): (call: ServerUnaryCall<Request, Reply>, reply: sendUnaryData<Reply>) => void {
  return (call, reply) => {
    Promise.resolve(call.request)
      .then(answer)
      .then(
        (message) => {
          reply(null, message);
        },
        (error: unknown) => {
          reply(toServiceError(error));
        },
      );
  };
}
