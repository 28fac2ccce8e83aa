/**
 * A storage node with one volume in memory, inside the test's process, that tells the truth until it is given a lie.
 * It is not the product's: what it lies about, the product's own node could not say.
 */
import { Server, type ServerDuplexStream } from '@grpc/grpc-js';
import { DONE, type BlockRequest, type BlockResult } from '#daemon/block/block-request.js';
import { serverOptions } from '#daemon/rpc/channel-options.js';
import { STORAGE_SERVICE } from '#daemon/rpc/service-definition.js';
import { listen } from '#daemon/rpc/server-listener.js';
import { encodeNodeFrame } from '#daemon/rpc/storage-frame.js';
import type {
  AcquireLeaseRequestMessage,
  ClientFrame,
  NodeFrame,
  OpenedFrame,
  ReplyBatchFrame,
  VolumeMessage,
} from '#daemon/rpc/storage-messages.js';

export const LYING_BYTES = 1024 * 1024;
const VOLUME_ID = 'id-of-v1';

/** Frames, or bytes that are none. */
type Sent = NodeFrame | Buffer;
type Call = ServerDuplexStream<ClientFrame, Sent>;

/** What it makes of what it would say. */
export interface Lie {
  readonly opening?: (opened: OpenedFrame) => Sent[];
  readonly answering?: (replies: ReplyBatchFrame) => Sent[];
}

export class LyingNode {
  lie: Lie = {};
  readonly content = Buffer.alloc(LYING_BYTES, 7);
  readonly #server = new Server({
    ...serverOptions(),
    'grpc.max_send_message_length': -1,
  });
  readonly #calls = new Set<Call>();
  #generation = 0;
  address = '';
  #stopAccepting = (): void => undefined;

  static async at(address: string): Promise<LyingNode> {
    const node = new LyingNode();
    const { OpenSession, ...unary } = STORAGE_SERVICE;
    if (OpenSession === undefined) throw new Error('storage.proto has another shape');
    const serialize = (frame: Sent): Buffer =>
      Buffer.isBuffer(frame) ? frame : (encodeNodeFrame(frame) as unknown as Buffer);
    node.#server.addService(
      { ...unary, OpenSession: { ...OpenSession, responseSerialize: serialize } },
      {
        ...unaryHandlers(node),
        OpenSession: (call: Call) => {
          node.#serve(call);
        },
      },
    );
    const listener = await listen(node.#server, {
      address,
      insecure: false,
      tls: undefined,
      onWindows: () => undefined,
    });
    node.address = listener.address;
    node.#stopAccepting = () => {
      listener.stopAccepting();
    };
    return node;
  }

  /** Sessions end as by a restart: the next ones hear the lie from the beginning. */
  endSessions(): void {
    for (const call of this.#calls) call.end();
  }

  stop(): void {
    this.#stopAccepting();
    this.#server.forceShutdown();
  }

  nextGeneration(): number {
    this.#generation += 1;
    return this.#generation;
  }

  volume(): VolumeMessage {
    return {
      ...{ volumeId: VOLUME_ID, name: 'lying', sizeBytes: LYING_BYTES, blockBytes: 512 },
      ...{ backend: 'memory', allocatedBytes: 0, createdUnixMs: 0, sessionCount: 0 },
      ...{ generation: this.#generation, holder: undefined },
    };
  }

  #serve(call: Call): void {
    this.#calls.add(call);
    const send = (frames: Sent[]): void => {
      for (const frame of frames) call.write(frame);
    };
    call.on('error', () => undefined);
    call.on('close', () => this.#calls.delete(call));
    call.on('data', (frame: ClientFrame) => {
      if (frame.kind === 'open') {
        const opened = this.#opened();
        send(this.lie.opening?.(opened) ?? [opened]);
      } else if (frame.kind === 'requests') {
        const replies: ReplyBatchFrame = {
          ...{ kind: 'replies', sequences: frame.sequences, writeVerifier: 0n },
          results: frame.requests.map((request) => this.#execute(request)),
        };
        send(this.lie.answering?.(replies) ?? [replies]);
      } else send([{ kind: 'pong', number: frame.number }]);
    });
  }

  #execute({ kind, offsetBytes, lengthBytes, payload }: BlockRequest): BlockResult {
    if (kind === 'read')
      return { ...DONE, payload: [this.content.subarray(offsetBytes, offsetBytes + lengthBytes)] };
    if (kind === 'write') Buffer.concat(payload).copy(this.content, offsetBytes);
    return DONE;
  }

  #opened(): OpenedFrame {
    return {
      kind: 'opened',
      writeVerifier: 1n,
      volume: this.volume(),
      capabilities: {
        ...{ canWrite: true, fua: 'emulated', canTrim: true },
        ...{ canFastZero: true, canBlockStatus: true },
      },
      preferredBytes: 4096,
      requestBytesMax: LYING_BYTES,
      checksum: 'none',
      frameSalt: 0,
      requestsInFlightMax: 100,
      bytesInFlightMax: 64 * LYING_BYTES,
    };
  }
}

type Unary<Request> = (
  call: { readonly request: Request },
  reply: (error: null, message: object) => void,
) => void;

function unaryHandlers(node: LyingNode): Record<string, Unary<never>> {
  const volume: Unary<never> = (_call, reply) => {
    reply(null, node.volume());
  };
  const lease: Unary<AcquireLeaseRequestMessage> = (_call, reply) => {
    reply(null, {
      ...{ generation: node.nextGeneration(), volume: node.volume(), expiresAfterMs: 60_000 },
    });
  };
  const nothing: Unary<never> = (_call, reply) => {
    reply(null, {});
  };
  return {
    GetVolume: volume,
    AcquireLease: lease,
    ReleaseLease: nothing,
    GetNode: nothing,
    CreateVolume: nothing,
    ListVolumes: nothing,
    ResizeVolume: nothing,
    DeleteVolume: nothing,
  };
}
