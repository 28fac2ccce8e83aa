/**
 * StorageClient over the simulated network: calls with a deadline, and sessions that are the product's own
 * GrpcStorageSession on a simulated stream. Statuses travel as gRPC's do and become sentences as they do in
 * the product.
 */
import { EventEmitter } from 'node:events';
import { status } from '@grpc/grpc-js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { toServiceError } from '#daemon/rpc/status-code.js';
import type { LeaseMessage, NodeFrame, VolumeMessage } from '#daemon/rpc/storage-messages.js';
import type { StorageService } from '#daemon/storage-node/storage-service.js';
import { explainCallError } from '#daemon/transport/call-error.js';
import { GrpcStorageSession, type SessionTimes } from '#daemon/transport/grpc-storage-session.js';
import type {
  SessionEvents,
  StorageClient,
  StorageSession,
} from '#daemon/transport/storage-client.js';
import type { Connection } from './network.js';
import { NodeCall } from './node-call.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { WireForm } from './wire-form.js';

export interface SimulatedClientOptions {
  readonly process: SimulatedProcess;
  /** A new connection to whatever runs on the node's machine now. */
  readonly connect: () => Connection;
  readonly callTimeoutMs: number;
  readonly sessionTimes: SessionTimes;
  readonly wireForm: WireForm;
  readonly verifierOfEngine: (verifier: bigint) => bigint;
  /** Whether a session begins on a connection of its own although there is one. */
  readonly wantsNewConnection: () => boolean;
}

export class SimulatedClient implements StorageClient {
  readonly address = 'simulated:1';
  #connection: Connection | undefined;

  constructor(readonly options: SimulatedClientOptions) {}

  getNode = unused;
  createVolume = unused;
  listVolumes = unused;
  resizeVolume = unused;
  deleteVolume = unused;

  getVolume(name: string): Promise<VolumeMessage> {
    return this.#call('GetVolume', (service) => service.getVolume(name));
  }

  acquireLease(request: Parameters<StorageClient['acquireLease']>[0]): Promise<LeaseMessage> {
    return this.#call('AcquireLease', (service) => service.acquireLease(request));
  }

  async releaseLease(request: Parameters<StorageClient['releaseLease']>[0]): Promise<void> {
    await this.#call('ReleaseLease', (service) => service.releaseLease(request));
  }

  openSession(
    open: Parameters<StorageClient['openSession']>[0],
    events: SessionEvents,
  ): StorageSession {
    const { process, sessionTimes, wantsNewConnection } = this.options;
    if (wantsNewConnection()) this.close();
    const connection = this.#connected();
    const stream = new ClientStream(connection, this.options);
    return new GrpcStorageSession(
      stream,
      open,
      events,
      process.clock,
      sessionTimes,
      explain,
      () => {
        this.#leave(connection);
      },
    );
  }

  close(): void {
    this.#connection?.giveUpAtClient();
    this.#connection = undefined;
  }

  /** As the product does with a node that does not answer in time: the next call goes over a new connection. */
  #leave(silent: Connection): void {
    if (this.#connection !== silent) return;
    this.#connection = undefined;
    this.options.process.defer(() => {
      silent.giveUpAtClient();
    });
  }

  #connected(): Connection {
    if (this.#connection?.isOpenAtClient !== true) this.#connection = this.options.connect();
    return this.#connection;
  }

  #call<Reply>(name: string, run: (service: StorageService) => Promise<Reply>): Promise<Reply> {
    const { process, callTimeoutMs } = this.options;
    const connection = this.#connected();
    return new Promise<Reply>((resolve, reject) => {
      const fail = (error: unknown): void => {
        connection.carried.delete(call);
        cancel();
        reject(explain(error));
      };
      const cancel = process.clock.setTimer(callTimeoutMs, () => {
        this.#leave(connection);
        fail({ code: status.DEADLINE_EXCEEDED, details: 'Deadline exceeded' });
      });
      const call = {
        lostAtClient: (): void => {
          fail({ code: status.UNAVAILABLE, details: 'Connection dropped' });
        },
        lostAtNode: (): void => undefined,
      };
      connection.carried.add(call);
      connection.toNode.send(name, () => {
        const { service } = connection.options;
        if (service === undefined) return;
        run(service).then(
          (reply) => {
            connection.toDaemon.send(`${name} reply`, () => {
              connection.carried.delete(call);
              cancel();
              resolve(reply);
            });
          },
          (error: unknown) => {
            connection.toDaemon.send(`${name} failure`, () => {
              fail(toServiceError(error));
            });
          },
        );
      });
    });
  }
}

/** The client's end of one session stream. */
class ClientStream extends EventEmitter {
  #over = false;
  #call: NodeCall | undefined;

  constructor(
    readonly connection: Connection,
    readonly options: SimulatedClientOptions,
  ) {
    super();
    connection.carried.add(this);
    connection.toNode.send('OpenSession', () => {
      this.#arrive();
    });
  }

  write(frame: Parameters<WireForm['toNode']>[0]): boolean {
    if (this.#over) return false;
    const received = this.options.wireForm.toNode(frame);
    this.connection.toNode.send(frame.kind, () => this.#call?.receive(received()));
    return true;
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.connection.toNode.send('cancel', () => {
      this.lostAtNode();
    });
  }

  lostAtClient(): void {
    this.#end({ code: status.UNAVAILABLE, details: 'Connection dropped' });
  }

  lostAtNode(): void {
    this.connection.carried.delete(this);
    this.#call?.cancelled();
  }

  #arrive(): void {
    const { node, service } = this.connection.options;
    if (service === undefined) return;
    const { toDaemon } = this.connection;
    this.#call = new NodeCall(node, {
      frame: (frame: NodeFrame, whenSent) => {
        const received = this.options.wireForm.toDaemon(this.#asOfEngine(frame));
        toDaemon.send(frame.kind, () => {
          whenSent();
          if (!this.#over) this.emit('data', received());
        });
      },
      status: (error) => {
        toDaemon.send('status', () => {
          this.connection.carried.delete(this);
          this.#end(error);
        });
      },
    });
    service.openSession(this.#call.asServedCall());
  }

  #asOfEngine(frame: NodeFrame): NodeFrame {
    if (frame.kind !== 'opened' && frame.kind !== 'replies') return frame;
    return { ...frame, writeVerifier: this.options.verifierOfEngine(frame.writeVerifier) };
  }

  #end(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    if (error !== undefined) this.emit('error', error);
    this.emit('end');
  }
}

function explain(error: unknown): StorageError {
  return explainCallError(error, 'node', 'simulated:1', 'is blkferry-node running?');
}

function unused(): Promise<never> {
  return Promise.reject(new StorageError('internal', 'not part of the simulation'));
}
