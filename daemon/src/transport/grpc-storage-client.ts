/**
 * StorageClient over grpc-js: one channel per node, a deadline on every call, and sentences for people
 * in place of gRPC's. Sessions have connections of their own (rpc/session-call.ts).
 *
 * A node that does not answer in time, or whose frames arrive damaged, loses its channel, not only the call: a connection whose other end is
 * gone without a word looks alive to HTTP/2 until TCP gives up, after a quarter of an hour, and gRPC would
 * put every further call on it.
 */
import { Client, connectivityState, status } from '@grpc/grpc-js';
import type { Clock } from '../runtime/clock.js';
import { CLIENT_OPTIONS } from '../rpc/channel-options.js';
import { clientCredentials, type Protection } from '../rpc/credentials.js';
import { DialTurns } from '../rpc/dial-turns.js';
import { STORAGE_SERVICE } from '../rpc/service-definition.js';
import { SessionCall } from '../rpc/session-call.js';
import { sessionTarget } from '../rpc/session-dial.js';
import { laneOf } from '../rpc/session-lane.js';
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
import { GrpcStorageSession, type SessionTimes } from './grpc-storage-session.js';
import type { SessionEvents, StorageClient, StorageSession } from './storage-client.js';

/** A watch of a channel is renewed after this time; it does nothing but wait. */
const WATCH_MS = 60_000;

export interface StorageClientOptions extends Protection {
  /** host:port or unix:/path. */
  readonly address: string;
  /** Deadline of each unary call. */
  readonly callTimeoutMs: number;
  readonly sessionTimes: SessionTimes;
  readonly clock: Clock;
}

/** @throws StorageError 'denied' for an address that plain text must not go to */
export function createGrpcStorageClient(options: StorageClientOptions): StorageClient {
  return new GrpcStorageClient(options);
}

class GrpcStorageClient implements StorageClient {
  readonly address: string;
  #client: Client;
  #closed = false;
  readonly #calls = new Set<SessionCall>();
  readonly #turns = new DialTurns();
  /** Those who wait for a connection; one watch serves all. */
  readonly #awaiting = new Set<() => void>();

  constructor(readonly options: StorageClientOptions) {
    this.address = options.address;
    this.#client = newChannel(options);
  }

  getNode(timeoutMs?: number): Promise<NodeMessage> {
    return this.#call('GetNode', {}, timeoutMs);
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
    const client = this.#client;
    const { clock, sessionTimes } = this.options;
    const lane = laneOf(open.volumeId);
    const call = new SessionCall(sessionTarget(this.options, 'node', this.#turns, lane));
    this.#calls.add(call);
    call.once('over', () => this.#calls.delete(call));
    return new GrpcStorageSession(
      call,
      open,
      events,
      clock,
      sessionTimes,
      (error) => this.#explain(error),
      () => {
        this.#leave(client);
      },
    );
  }

  onceConnected(callback: () => void): () => void {
    if (isConnected(this.#client)) return () => undefined;
    const isFirst = this.#awaiting.size === 0;
    // Another object for each caller.
    const waiting = (): void => {
      callback();
    };
    this.#awaiting.add(waiting);
    if (isFirst) this.#watch();
    return () => this.#awaiting.delete(waiting);
  }

  #watch(): void {
    const client = this.#client;
    if (this.#closed || this.#awaiting.size === 0) return;
    if (isConnected(client)) {
      const awaiting = [...this.#awaiting];
      this.#awaiting.clear();
      for (const callback of awaiting) callback();
      return;
    }
    const channel = client.getChannel();
    // Asking for the state makes the channel connect.
    const state = channel.getConnectivityState(true);
    channel.watchConnectivityState(state, Date.now() + WATCH_MS, () => {
      this.#watch();
    });
  }

  close(): void {
    this.#closed = true;
    this.#awaiting.clear();
    this.#client.close();
    for (const call of this.#calls) call.cut('the connection was closed');
  }

  /** The next call goes over a new connection. Sessions that are still answered on the old one stay there. */
  #leave(silent: Client): void {
    if (this.#closed || silent !== this.#client) return;
    this.#client = newChannel(this.options);
    silent.close();
  }

  #call<Reply>(
    name: string,
    request: object,
    timeoutMs = this.options.callTimeoutMs,
  ): Promise<Reply> {
    const method = STORAGE_SERVICE[name];
    if (method === undefined) throw new Error(`storage.proto has no ${name}`);
    const client = this.#client;
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        { deadline: Date.now() + timeoutMs },
        (error, reply) => {
          if (error?.code === status.DEADLINE_EXCEEDED) this.#leave(client);
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

function isConnected(client: Client): boolean {
  return client.getChannel().getConnectivityState(false) === connectivityState.READY;
}

function newChannel(options: StorageClientOptions): Client {
  const { address } = options;
  return new Client(address, clientCredentials(address, options, 'node'), CLIENT_OPTIONS);
}
