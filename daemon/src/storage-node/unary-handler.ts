/** Promise-returning functions as grpc-js handlers of unary calls. */
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import type { PeerCall } from '../rpc/peer-identity.js';
import { toServiceError } from '../rpc/status-code.js';
import { StorageError } from '../rpc/storage-error.js';

export type UnaryHandler<Request, Reply> = (
  call: ServerUnaryCall<Request | StorageError, Reply>,
  reply: sendUnaryData<Reply>,
) => void;

/**
 * Whatever the function throws becomes a status with a sentence.
 *
 * @param onBug called with what is not a StorageError before its detail is lost
 */
export function unaryHandler<Request, Reply>(
  answer: (request: Request, call: PeerCall) => Promise<Reply>,
  onBug: (error: unknown) => void,
): UnaryHandler<Request, Reply> {
  return (call, reply) => {
    answered(answer, call).then(
      (message) => {
        reply(null, message);
      },
      (error: unknown) => {
        if (!(error instanceof StorageError)) onBug(error);
        reply(toServiceError(error));
      },
    );
  };
}

async function answered<Request, Reply>(
  answer: (request: Request, call: PeerCall) => Promise<Reply>,
  call: ServerUnaryCall<Request | StorageError, Reply>,
): Promise<Reply> {
  const { request } = call;
  // A request that could not be decoded: see withReadableRefusals.
  if (request instanceof StorageError) throw request;
  return await answer(request, call);
}
