/**
 * A bare gRPC client of a storage node, which breaks the protocol as well as it keeps it: frames are sent
 * as they are given, and bytes can be sent that are no frames.
 */
import { Client, Metadata, credentials, status, type ServiceError } from '@grpc/grpc-js';
import { CLIENT_OPTIONS } from '#daemon/rpc/channel-options.js';
import { STORAGE_SERVICE } from '#daemon/rpc/service-definition.js';
import type { ClientFrame, NodeFrame, OpenFrame } from '#daemon/rpc/storage-messages.js';
import type { BlockRequest, BlockResult } from '#daemon/block/block-request.js';

export interface StreamEnd {
  /** Name of the gRPC status. */
  readonly code: string;
  readonly details: string;
}

export class NodeWire {
  readonly #client: Client;

  /** @param says what the client says about itself, for nodes of tests that take its word */
  constructor(
    readonly address: string,
    readonly says: Readonly<Record<string, string>> = {},
  ) {
    this.#client = new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
  }

  /** Rejects with the status's name and sentence, as in `NOT_FOUND: no volume ...`. */
  call<Reply>(name: string, request: object | Buffer): Promise<Reply> {
    const method = STORAGE_SERVICE[name];
    if (method === undefined) throw new Error(`no method ${name}`);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        (value: object) => (Buffer.isBuffer(value) ? value : method.requestSerialize(value)),
        method.responseDeserialize,
        request,
        metadataOf(this.says),
        { deadline: Date.now() + 10_000 },
        (error, reply) => {
          if (error === null) resolve(reply as Reply);
          else reject(new Error(`${status[error.code]}: ${error.details}`));
        },
      );
    });
  }

  stream(): SessionWire {
    return new SessionWire(this.#client, metadataOf(this.says));
  }

  /** A stream with an open frame sent. */
  open(open: Partial<OpenFrame>): SessionWire {
    const stream = this.stream();
    stream.send({
      kind: 'open',
      volumeId: 'id-v1',
      attachmentId: 'a',
      generation: 0,
      streamIndex: 0,
      checksum: 'none',
      takesHoles: true,
      ...open,
    });
    return stream;
  }

  close(): void {
    this.#client.close();
  }
}

export class SessionWire {
  /** Received and not yet taken by `next`. */
  readonly frames: NodeFrame[] = [];
  readonly ended: Promise<StreamEnd>;
  readonly #call;
  #arrived: (() => void) | undefined;
  #isOver = false;

  constructor(client: Client, metadata: Metadata) {
    const method = STORAGE_SERVICE['OpenSession'];
    if (method === undefined) throw new Error('no method OpenSession');
    this.#call = client.makeBidiStreamRequest(
      method.path,
      (frame: ClientFrame | Buffer) =>
        Buffer.isBuffer(frame) ? frame : method.requestSerialize(frame),
      method.responseDeserialize as (bytes: Buffer) => NodeFrame,
      metadata,
    );
    this.#call.on('data', (frame: NodeFrame) => {
      this.frames.push(frame);
      this.#arrived?.();
    });
    this.ended = new Promise((resolve) => {
      this.#call.on('status', ({ code, details }) => {
        this.#isOver = true;
        this.#arrived?.();
        resolve({ code: status[code], details });
      });
    });
    this.#call.on('error', (_error: ServiceError) => undefined);
  }

  /** A frame, or bytes in the place of one. */
  send(frame: ClientFrame | Buffer): void {
    this.#call.write(frame);
  }

  /** Requests with the sequences from `first` on. */
  request(first: number, ...requests: BlockRequest[]): void {
    const sequences = requests.map((_, index) => first + index);
    this.send({ kind: 'requests', sequences, requests });
  }

  /** The next frame of the node. Rejects when the stream ends before. */
  async next(): Promise<NodeFrame> {
    while (this.frames.length === 0) {
      if (this.#isOver) {
        const { code, details } = await this.ended;
        throw new Error(`the stream ended with ${code}: ${details}`);
      }
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
    const frame = this.frames.shift();
    if (frame === undefined) throw new Error('no frame');
    return frame;
  }

  /** The next `count` answers by sequence, from as many frames as they come in. */
  async answers(count: number): Promise<Map<number, BlockResult>> {
    const answers = new Map<number, BlockResult>();
    while (answers.size < count) {
      const frame = await this.next();
      if (frame.kind !== 'replies') throw new Error(`a ${frame.kind} frame instead of replies`);
      frame.sequences.forEach((sequence, index) => {
        const result = frame.results[index];
        if (result !== undefined) answers.set(sequence, result);
      });
    }
    return answers;
  }

  pause(): void {
    this.#call.pause();
  }

  resume(): void {
    this.#call.resume();
  }

  halfClose(): void {
    this.#call.end();
  }

  cancel(): void {
    this.#call.cancel();
  }
}

function metadataOf(says: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(says)) metadata.set(key, value);
  return metadata;
}
