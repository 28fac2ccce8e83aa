/**
 * An NBD client of our own as a BlockDevice, so that the same contract that holds for backends can be
 * held against a whole export; and for crash tests, which want to know what was answered.
 */
import net from 'node:net';
import {
  ClientHandshake,
  NBD_CMD,
  NBD_CMD_FLAG,
  NBD_FLAG,
  NBD_REPLY_TYPE,
  ReplyStream,
  encodeRequestHeader,
  type NbdReply,
  type NegotiatedSession,
  type ReplyKind,
} from 'nbd-server-helpers';
import { BLOCK_ERRNO, BlockError, type BlockErrno } from '#daemon/block/block-error.js';
import type { BlockCompletion, BlockDevice } from '#daemon/block/block-device.js';
import {
  BLOCK_FLAG,
  DONE,
  failed,
  type BlockRequest,
  type BlockRequestKind,
  type BlockResult,
  type Extent,
} from '#daemon/block/block-request.js';
import type { DeviceFacts } from '#daemon/block/device-facts.js';

const COMMANDS: Readonly<Record<BlockRequestKind, number>> = {
  read: NBD_CMD.READ,
  write: NBD_CMD.WRITE,
  flush: NBD_CMD.FLUSH,
  trim: NBD_CMD.TRIM,
  'write-zeroes': NBD_CMD.WRITE_ZEROES,
  'block-status': NBD_CMD.BLOCK_STATUS,
  cache: NBD_CMD.CACHE,
};

const FLAGS: readonly (readonly [number, number])[] = [
  [BLOCK_FLAG.FUA, NBD_CMD_FLAG.FUA],
  [BLOCK_FLAG.NO_HOLE, NBD_CMD_FLAG.NO_HOLE],
  [BLOCK_FLAG.FAST_ZERO, NBD_CMD_FLAG.FAST_ZERO],
  [BLOCK_FLAG.ONE_EXTENT, NBD_CMD_FLAG.REQ_ONE],
];

interface Waiting {
  readonly request: BlockRequest;
  readonly complete: (result: BlockResult) => void;
  data: Buffer[];
  extents: Extent[];
  error: BlockError | undefined;
}

export interface NbdClientOptions {
  readonly socketPath: string;
  /** Of this machine, over TCP instead. */
  readonly port?: number;
  readonly exportName: string;
  readonly replyKind?: ReplyKind;
}

export class NbdClient implements BlockDevice {
  readonly facts: DeviceFacts;
  readonly #waiting = new Map<number, Waiting>();
  readonly #replies: ReplyStream;
  readonly #closed: Promise<void>;
  #nextCookie = 1;
  #isOpen = true;

  private constructor(
    readonly socket: net.Socket,
    readonly session: NegotiatedSession,
    leftover: Buffer,
  ) {
    this.facts = toDeviceFacts(session);
    this.#replies = new ReplyStream({
      replyKind: session.replyKind,
      payloadBytesMax: 64 * 1024 * 1024,
      readRangeOf: (_high, cookie) => {
        const request = this.#waiting.get(cookie)?.request;
        return request?.kind === 'read' ? request : undefined;
      },
    });
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isOpen = false;
        for (const { complete } of this.#waiting.values()) {
          complete(failed(new BlockError('ESHUTDOWN', 'the connection is gone')));
        }
        this.#waiting.clear();
        resolve();
      });
    });
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    this.#receive(leftover);
  }

  /** @throws Error with the server's reason if it does not serve the export */
  static async connect(options: NbdClientOptions): Promise<NbdClient> {
    const { socketPath, port } = options;
    const socket = net.connect(
      port === undefined ? { path: socketPath } : { host: '127.0.0.1', port, noDelay: true },
    );
    const handshake = new ClientHandshake({
      exportName: options.exportName,
      purpose: 'go',
      replyKind: options.replyKind ?? 'structured',
      metaContexts: options.replyKind === 'simple' ? [] : ['base:allocation'],
      tls: 'never',
    });
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', () => {
        reject(new Error('the server closed the connection during the handshake'));
      });
      const onData = (chunk: Buffer): void => {
        const { send, outcome } = handshake.push(chunk);
        socket.write(send);
        if (outcome === undefined) return;
        socket.off('data', onData);
        if (outcome.kind === 'transmission') {
          socket.on('error', () => undefined);
          resolve(new NbdClient(socket, outcome.session, outcome.leftover));
        } else {
          reject(new Error(outcome.kind === 'refused' ? outcome.reason : outcome.kind));
          socket.destroy();
        }
      };
      socket.on('data', onData);
    });
  }

  submit<Request extends BlockRequest>(request: Request, complete: BlockCompletion<Request>): void {
    if (!this.#isOpen) {
      complete(request, failed(new BlockError('ESHUTDOWN', 'the connection is gone')));
      return;
    }
    const cookie = this.#nextCookie++;
    const done = (result: BlockResult): void => {
      complete(request, result);
    };
    this.#waiting.set(cookie, { request, complete: done, data: [], extents: [], error: undefined });
    let flags = 0;
    for (const [block, nbd] of FLAGS) if ((request.flags & block) !== 0) flags |= nbd;
    const header = {
      command: COMMANDS[request.kind],
      flags,
      cookieHigh: 0,
      cookieLow: cookie,
      offsetBytes: request.offsetBytes,
      lengthBytes: request.lengthBytes,
    };
    this.socket.write(encodeRequestHeader(header, this.session.extendedHeaders));
    for (const part of request.payload) this.socket.write(part);
  }

  async close(): Promise<void> {
    this.#isOpen = false;
    this.socket.end();
    await this.#closed;
  }

  #receive(chunk: Buffer): void {
    for (const reply of this.#replies.push(chunk)) this.#accept(reply);
  }

  #accept(reply: NbdReply): void {
    const waiting = this.#waiting.get(reply.cookieLow);
    if (waiting === undefined) throw new Error(`reply to unknown cookie ${reply.cookieLow}`);
    if (reply.error !== 0) waiting.error = new BlockError(errnoOf(reply.error), reply.text);
    if (reply.type === NBD_REPLY_TYPE.OFFSET_HOLE)
      waiting.data.push(Buffer.alloc(reply.lengthBytes));
    else waiting.data.push(...reply.payload);
    for (const { lengthBytes, flags } of reply.extents) {
      waiting.extents.push({ lengthBytes, hole: (flags & 1) !== 0, zero: (flags & 2) !== 0 });
    }
    if (!reply.isDone) return;
    this.#waiting.delete(reply.cookieLow);
    const { error, extents, data } = waiting;
    waiting.complete(error === undefined ? { ...DONE, payload: data, extents } : failed(error));
  }
}

function errnoOf(number: number): BlockErrno {
  const found = Object.entries(BLOCK_ERRNO).find(([, value]) => value === number);
  if (found === undefined) throw new Error(`the server answered with error ${number}`);
  return found[0] as BlockErrno;
}

function toDeviceFacts({ facts, metaContexts }: NegotiatedSession): DeviceFacts {
  const has = (flag: number): boolean => (facts.transmissionFlags & flag) !== 0;
  return {
    sizeBytes: facts.sizeBytes,
    blockBytes: facts.minimumBlockBytes,
    preferredBytes: facts.preferredBlockBytes,
    requestBytesMax: facts.maximumPayloadBytes,
    capabilities: {
      canWrite: !has(NBD_FLAG.READ_ONLY),
      fua: 'emulated',
      canTrim: has(NBD_FLAG.SEND_TRIM),
      canFastZero: has(NBD_FLAG.SEND_FAST_ZERO),
      canBlockStatus: metaContexts.length > 0,
    },
  };
}
