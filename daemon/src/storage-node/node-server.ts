/**
 * A storage node as a gRPC server: the Storage service, health and reflection, on one address.
 */
import { randomBytes } from 'node:crypto';
import { Server } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { SERVER_OPTIONS } from '../rpc/channel-options.js';
import { serverCredentials } from '../rpc/credentials.js';
import { withLargeWindows } from '../rpc/http2-window.js';
import { PROTO_FILES, PROTO_FOLDER } from '../rpc/proto-root.js';
import { STORAGE_SERVICE } from '../rpc/service-definition.js';
import { StorageError } from '../rpc/storage-error.js';
import { StorageService, type StorageServiceOptions } from './storage-service.js';

export interface NodeOptions extends Omit<StorageServiceOptions, 'writeVerifier'> {
  /** `host:port` (port 0 takes a free one) or `unix:/path`. */
  readonly address: string;
  /** Allow plain text beyond this machine. */
  readonly insecure: boolean;
}

export interface RunningNode {
  /** With the port that was really taken. */
  readonly address: string;
  readonly service: StorageService;
  /** Ends sessions after what they have in hand, closes volumes; by force at the deadline. */
  stop(deadlineMs: number): Promise<void>;
}

/** @throws StorageError when the address cannot be had */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const credentials = serverCredentials(options.address, options.insecure);
  const service = new StorageService({ ...options, writeVerifier: newWriteVerifier() });
  const server = new Server(SERVER_OPTIONS);
  server.addService(STORAGE_SERVICE, service.handlers());
  addStandardServices(server, 'blkferry.storage.v1.Storage');
  const port = await withLargeWindows(() => bind(server, options.address, credentials));
  const address = options.address.startsWith('unix:')
    ? options.address
    : `${options.address.slice(0, options.address.lastIndexOf(':'))}:${port}`;
  return {
    address,
    service,
    stop: (deadlineMs) => stopNode(server, service, options, deadlineMs),
  };
}

/** Health and reflection, so that grpcurl and other languages work at once. */
export function addStandardServices(server: Server, serviceName: string): void {
  new HealthImplementation({ '': 'SERVING', [serviceName]: 'SERVING' }).addToServer(server);
  const definitions = loadSync(PROTO_FILES, { includeDirs: [PROTO_FOLDER] });
  new ReflectionService(definitions, { services: [serviceName] }).addToServer(
    server as unknown as Parameters<ReflectionService['addToServer']>[0],
  );
}

export function bind(
  server: Server,
  address: string,
  credentials: Parameters<Server['bindAsync']>[1],
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) resolve(port);
      else
        reject(
          new StorageError('unavailable', `cannot listen at ${address}: ${error.message}`, {
            cause: error,
          }),
        );
    });
  });
}

async function stopNode(
  server: Server,
  service: StorageService,
  options: NodeOptions,
  deadlineMs: number,
): Promise<void> {
  const stopping = new StorageError('unavailable', 'the node is stopping');
  const sessions = service.sessions.all();
  const idle = Promise.all(
    sessions.map((session) => {
      session.end(stopping);
      return session.whenIdle();
    }),
  );
  await Promise.race([idle, deadline(options, deadlineMs)]);
  server.forceShutdown();
  await options.catalog.close();
}

function deadline(options: NodeOptions, deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    options.clock.setTimer(deadlineMs, resolve);
  });
}

/** Random, so that two runs of a node are never taken for one; 0 is "none" on the wire. */
function newWriteVerifier(): bigint {
  const verifier = randomBytes(8).readBigUInt64LE();
  return verifier === 0n ? 1n : verifier;
}
