/**
 * The transmission phase, client side: received chunks in, whole reply chunks out, with the lengths
 * checked before anything is kept. Putting the chunks of one reply together is the caller's business.
 */
import { DATA_OFFSET_BYTES, chunkHeaderBytes, type ReplyKind } from './structured-reply.js';
import {
  NBD_EXTENTS_MAX,
  NBD_MAGIC,
  NBD_REPLY_FLAG,
  NBD_REPLY_TYPE,
  NBD_REPLY_TYPE_ERROR_BIT,
  NBD_STRING_BYTES_MAX,
} from './constants.js';
import { decodeBlockStatus, type NbdExtent } from './block-status.js';
import { ByteQueue } from './byte-queue.js';
import { NbdProtocolError } from './protocol-error.js';
import { SIMPLE_REPLY_BYTES } from './simple-reply.js';
import { readUint64 } from './wire-number.js';

/** One reply, or one chunk of it; fields that its type does not have are 0 or empty. */
export interface NbdReply {
  readonly cookieHigh: number;
  readonly cookieLow: number;
  /** A number of NBD_REPLY_TYPE; a simple reply is given as NONE, OFFSET_DATA or ERROR. */
  readonly type: number;
  /** The last chunk of its reply. */
  readonly isDone: boolean;
  /** Not 0: the request failed. A number of NBD_ERROR, or one that is to be treated as EINVAL. */
  readonly error: number;
  /** What the server says about the error. */
  readonly text: string;
  /** Where the data, hole or error lies. */
  readonly offsetBytes: number;
  /** Of the data or the hole. */
  readonly lengthBytes: number;
  /** The data, in order: views onto received chunks. */
  readonly payload: readonly Buffer[];
  /** Of a block status. */
  readonly contextId: number;
  readonly extents: readonly NbdExtent[];
}

/** The part of a read request that a simple reply does not repeat. */
export interface ReadRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export interface ReplyStreamOptions {
  readonly replyKind: ReplyKind;
  /** Most bytes of data in one chunk; a server that sends more is not trusted. */
  readonly payloadBytesMax: number;
  /**
   * A simple reply does not say how much data follows: the caller must know.
   * @returns the range if an unanswered read has this cookie, undefined for any other request
   */
  readonly readRangeOf: (cookieHigh: number, cookieLow: number) => ReadRange | undefined;
}

/** What a header announces. */
interface Announced {
  readonly isSimple: boolean;
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly type: number;
  readonly isDone: boolean;
  /** Only in a simple reply's header. */
  readonly error: number;
  /** Of the data, in a simple reply. */
  readonly offsetBytes: number;
  readonly payloadBytes: number;
}

const NO_REPLY_DATA = {
  error: 0,
  text: '',
  offsetBytes: 0,
  lengthBytes: 0,
  payload: [],
  contextId: 0,
  extents: [],
} as const;

/** Error number and text length, at the beginning of every error chunk. */
const ERROR_FIELDS_BYTES = 6;
/** Of an error chunk: the fields, a text of full length, an offset. */
const ERROR_BYTES_MAX = ERROR_FIELDS_BYTES + NBD_STRING_BYTES_MAX + 8;
const HOLE_BYTES = DATA_OFFSET_BYTES + 4;
const MAGIC_BYTES = 4;

export class ReplyStream {
  readonly #options: ReplyStreamOptions;
  readonly #received = new ByteQueue();
  #magic: number | undefined;
  #announced: Announced | undefined;
  #headerBytes = 0;

  constructor(options: ReplyStreamOptions) {
    this.#options = options;
  }

  /**
   * Adds received bytes; data is given out as views onto them.
   *
   * @returns every reply chunk now complete, in order of arrival
   * @throws NbdProtocolError when the stream cannot be trusted any more: close the connection and do
   *   not push again
   */
  push(chunk: Buffer): NbdReply[] {
    this.#received.push(chunk);
    const replies: NbdReply[] = [];
    for (;;) {
      const announced = this.#announced ?? this.#takeHeader();
      if (announced === undefined || this.#received.length < announced.payloadBytes) return replies;
      this.#announced = undefined;
      replies.push(this.#takeReply(announced));
    }
  }

  /** Bytes received but not part of a complete reply chunk; 0 at a clean end. */
  get incompleteBytes(): number {
    const magicBytes = this.#magic === undefined ? 0 : MAGIC_BYTES;
    const headerBytes = this.#announced === undefined ? magicBytes : this.#headerBytes;
    return headerBytes + this.#received.length;
  }

  /** With structured replies either kind of header may come, and only the magic tells its length. */
  #takeHeader(): Announced | undefined {
    if (this.#magic === undefined) {
      if (this.#received.length < MAGIC_BYTES) return undefined;
      this.#magic = this.#received.take(MAGIC_BYTES).readUInt32BE(0);
    }
    const kind = this.#kindOf(this.#magic);
    this.#headerBytes = kind === 'simple' ? SIMPLE_REPLY_BYTES : chunkHeaderBytes(kind);
    if (this.#received.length < this.#headerBytes - MAGIC_BYTES) return undefined;
    const rest = this.#received.take(this.#headerBytes - MAGIC_BYTES);
    this.#magic = undefined;
    this.#announced = kind === 'simple' ? this.#simpleHeader(rest) : this.#chunkHeader(rest, kind);
    return this.#announced;
  }

  #kindOf(magic: number): ReplyKind {
    const { replyKind } = this.#options;
    if (magic === NBD_MAGIC.SIMPLE_REPLY && replyKind !== 'extended') return 'simple';
    if (magic === NBD_MAGIC.STRUCTURED_REPLY && replyKind === 'structured') return 'structured';
    if (magic === NBD_MAGIC.EXTENDED_REPLY && replyKind === 'extended') return 'extended';
    throw new NbdProtocolError(
      `reply magic is 0x${magic.toString(16)} on a connection with ${replyKind} replies`,
    );
  }

  /** @param rest the header behind its magic */
  #simpleHeader(rest: Buffer): Announced {
    const error = rest.readUInt32BE(0);
    const cookieHigh = rest.readUInt32BE(4);
    const cookieLow = rest.readUInt32BE(8);
    const range = this.#options.readRangeOf(cookieHigh, cookieLow);
    if (range !== undefined && this.#options.replyKind !== 'simple') {
      throw new NbdProtocolError('simple reply to a read, but structured replies were agreed on');
    }
    const data = error === 0 ? range : undefined;
    const withoutData = error === 0 ? NBD_REPLY_TYPE.NONE : NBD_REPLY_TYPE.ERROR;
    return {
      isSimple: true,
      cookieHigh,
      cookieLow,
      type: data === undefined ? withoutData : NBD_REPLY_TYPE.OFFSET_DATA,
      isDone: true,
      error,
      offsetBytes: data?.offsetBytes ?? 0,
      payloadBytes: this.#checkedBytes(data?.lengthBytes ?? 0, this.#options.payloadBytesMax),
    };
  }

  /** @param rest the header behind its magic */
  #chunkHeader(rest: Buffer, kind: 'structured' | 'extended'): Announced {
    const isExtended = kind === 'extended';
    const type = rest.readUInt16BE(2);
    const payloadBytes = isExtended ? readUint64(rest, 20) : rest.readUInt32BE(12);
    const bytesMax = this.#chunkBytesMax(type, isExtended);
    return {
      isSimple: false,
      cookieHigh: rest.readUInt32BE(4),
      cookieLow: rest.readUInt32BE(8),
      type,
      isDone: (rest.readUInt16BE(0) & NBD_REPLY_FLAG.DONE) !== 0,
      error: 0,
      offsetBytes: 0,
      payloadBytes: this.#checkedBytes(payloadBytes, bytesMax),
    };
  }

  #chunkBytesMax(type: number, isExtended: boolean): number {
    if ((type & NBD_REPLY_TYPE_ERROR_BIT) !== 0) return ERROR_BYTES_MAX;
    const isStatus =
      type === NBD_REPLY_TYPE.BLOCK_STATUS || type === NBD_REPLY_TYPE.BLOCK_STATUS_EXT;
    if (isStatus) return 8 + NBD_EXTENTS_MAX * (isExtended ? 16 : 8);
    return Math.max(this.#options.payloadBytesMax + DATA_OFFSET_BYTES, HOLE_BYTES);
  }

  #checkedBytes(bytes: number, bytesMax: number): number {
    if (bytes <= bytesMax) return bytes;
    throw new NbdProtocolError(
      `reply with ${bytes} bytes of payload, at most ${bytesMax} are kept`,
    );
  }

  /** The payload is there. */
  #takeReply(announced: Announced): NbdReply {
    const { cookieHigh, cookieLow, type, isDone, payloadBytes } = announced;
    const head = { ...NO_REPLY_DATA, cookieHigh, cookieLow, type, isDone };
    if (announced.isSimple) {
      const { error, offsetBytes } = announced;
      const payload = this.#received.takePieces(payloadBytes);
      return { ...head, error, offsetBytes, lengthBytes: payloadBytes, payload };
    }
    if ((type & NBD_REPLY_TYPE_ERROR_BIT) !== 0) return { ...head, ...this.#takeError(announced) };
    switch (type) {
      case NBD_REPLY_TYPE.NONE:
        if (payloadBytes > 0 || !isDone) throw malformed('NONE', payloadBytes);
        return head;
      case NBD_REPLY_TYPE.OFFSET_DATA: {
        if (payloadBytes <= DATA_OFFSET_BYTES) throw malformed('OFFSET_DATA', payloadBytes);
        const offsetBytes = readUint64(this.#received.take(DATA_OFFSET_BYTES), 0);
        const lengthBytes = payloadBytes - DATA_OFFSET_BYTES;
        const payload = this.#received.takePieces(lengthBytes);
        return { ...head, offsetBytes, lengthBytes, payload };
      }
      case NBD_REPLY_TYPE.OFFSET_HOLE: {
        if (payloadBytes !== HOLE_BYTES) throw malformed('OFFSET_HOLE', payloadBytes);
        const hole = this.#received.take(HOLE_BYTES);
        const lengthBytes = hole.readUInt32BE(DATA_OFFSET_BYTES);
        if (lengthBytes === 0) throw new NbdProtocolError('hole without a length');
        return { ...head, offsetBytes: readUint64(hole, 0), lengthBytes };
      }
      case NBD_REPLY_TYPE.BLOCK_STATUS:
      case NBD_REPLY_TYPE.BLOCK_STATUS_EXT: {
        const isWide = type === NBD_REPLY_TYPE.BLOCK_STATUS_EXT;
        if (isWide === (this.#options.replyKind === 'extended')) {
          return { ...head, ...decodeBlockStatus(this.#received.take(payloadBytes), isWide) };
        }
      }
    }
    throw new NbdProtocolError(`reply chunk of unexpected type ${type}`);
  }

  /** An error of an unknown type is an error too. */
  #takeError({ type, payloadBytes }: Announced): Pick<NbdReply, 'error' | 'text' | 'offsetBytes'> {
    const payload = this.#received.take(payloadBytes);
    const isPlaced = type === NBD_REPLY_TYPE.ERROR_OFFSET;
    const tailBytes = isPlaced ? 8 : 0;
    if (payloadBytes < ERROR_FIELDS_BYTES + tailBytes) throw malformed('ERROR', payloadBytes);
    const error = payload.readUInt32BE(0);
    const textEnd = ERROR_FIELDS_BYTES + payload.readUInt16BE(4);
    if (error === 0 || textEnd + tailBytes > payloadBytes) throw malformed('ERROR', payloadBytes);
    const text = payload.toString('utf8', ERROR_FIELDS_BYTES, textEnd);
    return { error, text, offsetBytes: isPlaced ? readUint64(payload, textEnd) : 0 };
  }
}

function malformed(type: string, payloadBytes: number): NbdProtocolError {
  return new NbdProtocolError(`reply chunk ${type} with ${payloadBytes} bytes breaks its layout`);
}
