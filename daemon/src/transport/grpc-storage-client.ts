/**
 * StorageClient over grpc-js: one channel per node, a deadline on every call, and sentences for people
 * in place of gRPC's.
 */
import { Client } from '@grpc/grpc-js';
import type { Clock } from '../runtime/clock.js';
import { CLIENT_OPTIONS } from '../rpc/channel-options.js';
import { clientCredentials } from '../rpc/credentials.js';
import { STORAGE_SERVICE } from '../rpc/service-definition.js';
import type { StorageError } from '../rpc/storage-error.js';
import type {
  AcquireLeaseRequestMessage,
  CreateVolumeReplyMessage,
  CreateVolumeRequestMessage,
  DeleteVolumeRequestMessage,
  LeaseMessage,
  NodeMessage,
  OpenFrame,
  ReleaseLeaseRequestMessage,
  ResizeVolumeRequestMessage,
  VolumeMessage,
} from '../rpc/storage-messages.js';
import { explainCallError } from './call-error.js';
import { GrpcStorageSession, type FrameStream, type SessionTimes } from './grpc-storage-session.js';
import type { SessionEvents, StorageClient, StorageSession } from './storage-client.js';

export interface StorageClientOptions {
  /** host:port or unix:/path. */
  readonly address: string;
  /** Deadline of each unary call. */
  readonly callTimeoutMs: number;
  readonly sessionTimes: SessionTimes;
  /** Allow plain text beyond this machine. */
  readonly insecure: boolean;
  readonly clock: Clock;
}

/** @throws StorageError 'denied' for an address that plain text must not go to */
export function createGrpcStorageClient(options: StorageClientOptions): StorageClient {
  return new GrpcStorageClient(options);
}

class GrpcStorageClient implements StorageClient {
  readonly address: string;
  readonly #client: Client;

  constructor(readonly options: StorageClientOptions) {
    this.address = options.address;
    this.#client = new Client(
      options.address,
      clientCredentials(options.address, options.insecure),
      CLIENT_OPTIONS,
    );
  }

  getNode(): Promise<NodeMessage> {
    return this.#call('GetNode', {});
  }

  createVolume(request: CreateVolumeRequestMessage): Promise<CreateVolumeReplyMessage> {
    return this.#call('CreateVolume', request);
  }

  async listVolumes(): Promise<VolumeMessage[]> {
    const { volumes } = await this.#call<{ volumes: VolumeMessage[] }>('ListVolumes', {});
    return volumes;
  }

  getVolume(name: string): Promise<VolumeMessage> {
    return this.#call('GetVolume', { name });
  }

  resizeVolume(request: ResizeVolumeRequestMessage): Promise<VolumeMessage> {
    return this.#call('ResizeVolume', request);
  }

  async deleteVolume(request: DeleteVolumeRequestMessage): Promise<void> {
    await this.#call('DeleteVolume', request);
  }

  acquireLease(request: AcquireLeaseRequestMessage): Promise<LeaseMessage> {
    return this.#call('AcquireLease', request);
  }

  async releaseLease(request: ReleaseLeaseRequestMessage): Promise<void> {
    await this.#call('ReleaseLease', request);
  }

  openSession(open: Omit<OpenFrame, 'kind'>, events: SessionEvents): StorageSession {
    const method = STORAGE_SERVICE['OpenSession'];
    if (method === undefined) throw new Error('storage.proto has no OpenSession');
    const stream = this.#client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
    ) as unknown as FrameStream;
    const { clock, sessionTimes } = this.options;
    return new GrpcStorageSession(stream, open, events, clock, sessionTimes, (error) =>
      this.#explain(error),
    );
  }

  close(): void {
    this.#client.close();
  }

  #call<Reply>(name: string, request: object): Promise<Reply> {
    const method = STORAGE_SERVICE[name];
    if (method === undefined) throw new Error(`storage.proto has no ${name}`);
    const { callTimeoutMs } = this.options;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        { deadline: Date.now() + callTimeoutMs },
        (error, reply) => {
          if (error === null) resolve(reply as Reply);
          else reject(this.#explain(error));
        },
      );
    });
  }

  #explain(error: unknown): StorageError {
    return explainCallError(error, `node`, this.address, 'is blkferry-node running?');
  }
}
