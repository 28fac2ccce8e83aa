/**
 * One connection to an NBD server as a block device, for the checker: requests in, answers out. It does
 * not reconnect, and knows nothing of what the answers should be.
 */
import net from 'node:net';
import {
  ClientHandshake,
  NBD_CMD,
  NBD_CMD_FLAG,
  NBD_FLAG,
  NBD_REPLY_TYPE,
  NbdProtocolError,
  ReplyStream,
  encodeRequestHeader,
  type NbdReply,
  type NegotiatedSession,
} from 'nbd-server-helpers';
import { BLOCK_ERRNO, BlockError, type BlockErrno } from '../../block/block-error.js';
import type { BlockCompletion } from '../../block/block-device.js';
import {
  BLOCK_FLAG,
  DONE,
  failed,
  payloadBytes,
  type BlockRequest,
  type BlockRequestKind,
  type BlockResult,
} from '../../block/block-request.js';
import { REQUEST_BYTES_MAX, type DeviceFacts } from '../../block/device-facts.js';
import { zeroPiece } from '../../block/zeroes.js';
import type { CuttableDevice } from './load-lane.js';
import type { NbdTarget } from './nbd-target.js';

/** From the first byte to the chosen export; a server that is there answers at once. */
const CONNECT_TIMEOUT_MS = 10_000;

const COMMANDS: Readonly<Record<BlockRequestKind, number>> = {
  read: NBD_CMD.READ,
  write: NBD_CMD.WRITE,
  flush: NBD_CMD.FLUSH,
  trim: NBD_CMD.TRIM,
  'write-zeroes': NBD_CMD.WRITE_ZEROES,
  'block-status': NBD_CMD.BLOCK_STATUS,
  cache: NBD_CMD.CACHE,
};

interface Waiting {
  readonly request: BlockRequest;
  readonly complete: (result: BlockResult) => void;
  readonly data: Buffer[];
  error: BlockError | undefined;
}

/** @throws Error with the server's reason, or the system's, if the export is not served */
export async function connectNbd(target: NbdTarget): Promise<NbdConnection> {
  const socket = net.connect(target.socket);
  const handshake = new ClientHandshake({
    exportName: target.exportName,
    purpose: 'go',
    replyKind: 'structured',
    metaContexts: [],
    tls: 'never',
  });
  return new Promise((resolve, reject) => {
    const refuse = (reason: string): void => {
      socket.destroy();
      reject(new Error(reason));
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => {
      refuse(`the NBD server did not answer within ${CONNECT_TIMEOUT_MS} ms`);
    });
    socket.once('error', reject);
    socket.once('close', () => {
      refuse('the server closed the connection during the handshake');
    });
    const onData = (chunk: Buffer): void => {
      const { send, outcome } = handshake.push(chunk);
      socket.write(send);
      if (outcome === undefined) return;
      socket.off('data', onData);
      socket.setTimeout(0);
      if (outcome.kind === 'transmission') {
        socket.on('error', () => undefined);
        resolve(new NbdConnection(socket, outcome.session, outcome.leftover));
      } else {
        refuse(outcome.kind === 'refused' ? outcome.reason : outcome.kind);
      }
    };
    socket.on('data', onData);
  });
}

export class NbdConnection implements CuttableDevice {
  readonly facts: DeviceFacts;
  readonly #waiting = new Map<number, Waiting>();
  readonly #replies: ReplyStream;
  readonly #closed: Promise<void>;
  #nextCookie = 1;
  #isOpen = true;

  constructor(
    readonly socket: net.Socket,
    readonly session: NegotiatedSession,
    leftover: Buffer,
  ) {
    this.facts = toDeviceFacts(session);
    this.#replies = new ReplyStream({
      replyKind: session.replyKind,
      payloadBytesMax: REQUEST_BYTES_MAX,
      readRangeOf: (_high, cookie) => {
        const request = this.#waiting.get(cookie)?.request;
        return request?.kind === 'read' ? request : undefined;
      },
    });
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#fail('the connection is gone');
        resolve();
      });
    });
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk);
    });
    this.#receive(leftover);
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
    this.#waiting.set(cookie, { request, complete: done, data: [], error: undefined });
    const header = {
      command: COMMANDS[request.kind],
      flags: (request.flags & BLOCK_FLAG.FUA) === 0 ? 0 : NBD_CMD_FLAG.FUA,
      cookieHigh: 0,
      cookieLow: cookie,
      offsetBytes: request.offsetBytes,
      lengthBytes: request.lengthBytes,
    };
    this.socket.cork();
    this.socket.write(encodeRequestHeader(header, this.session.extendedHeaders));
    for (const part of request.payload) this.socket.write(part);
    process.nextTick(() => {
      this.socket.uncork();
    });
  }

  /** Says that nothing more comes, and waits for the last answers. */
  async close(): Promise<void> {
    this.#isOpen = false;
    this.socket.end();
    await this.#closed;
  }

  cut(): void {
    this.socket.destroy();
    this.#fail('the connection was cut');
  }

  #fail(reason: string): void {
    this.#isOpen = false;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { complete } of waiting) complete(failed(new BlockError('ESHUTDOWN', reason)));
  }

  #receive(chunk: Buffer): void {
    if (this.socket.destroyed) return;
    try {
      for (const reply of this.#replies.push(chunk)) this.#accept(reply);
    } catch (error) {
      if (!(error instanceof NbdProtocolError)) throw error;
      this.socket.destroy();
      this.#fail(`the server does not speak NBD: ${error.message}`);
    }
  }

  #accept(reply: NbdReply): void {
    const waiting = this.#waiting.get(reply.cookieLow);
    // Cut in the middle of a chunk of replies: nobody waits any more.
    if (waiting === undefined) return;
    if (reply.error !== 0) waiting.error = new BlockError(errnoOf(reply.error), reply.text);
    if (reply.type === NBD_REPLY_TYPE.OFFSET_HOLE) waiting.data.push(holeOf(reply));
    else waiting.data.push(...reply.payload);
    if (!reply.isDone) return;
    this.#waiting.delete(reply.cookieLow);
    const { error, data, request } = waiting;
    const gotBytes = payloadBytes(data);
    if (error !== undefined) waiting.complete(failed(error));
    else if (request.kind === 'read' && gotBytes !== request.lengthBytes) {
      const sentence = `a read of ${request.lengthBytes} bytes was answered with ${gotBytes}`;
      waiting.complete(failed(new BlockError('EIO', sentence)));
    } else waiting.complete({ ...DONE, payload: data });
  }
}

/** @throws NbdProtocolError if no read is as long */
function holeOf({ lengthBytes }: NbdReply): Buffer {
  if (lengthBytes > REQUEST_BYTES_MAX)
    throw new NbdProtocolError(`a hole of ${lengthBytes} bytes in the answer to a read`);
  return zeroPiece(lengthBytes);
}

/** @param number as on the wire; one that is not known is to be treated as EINVAL */
function errnoOf(number: number): BlockErrno {
  const found = Object.entries(BLOCK_ERRNO).find(([, value]) => value === number);
  return found === undefined ? 'EINVAL' : (found[0] as BlockErrno);
}

function toDeviceFacts({ facts }: NegotiatedSession): DeviceFacts {
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
      canBlockStatus: false,
    },
  };
}
