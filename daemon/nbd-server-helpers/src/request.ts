/**
 * The request header, compact and extended: decode for the server, encode for the client. Bytes in,
 * values out; payloads and chunk borders are the business of request-stream.ts.
 *
 * Layout, network byte order (proto.md, "Request message"):
 *    0  u32  magic                    8  u64  cookie  opaque
 *    4  u16  command flags           16  u64  offset  bytes
 *    6  u16  command                 24  u32  length  bytes (u64 with extended headers)
 */
import { NBD_CMD, NBD_CMD_FLAG, NBD_MAGIC } from './constants.js';
import { NbdProtocolError } from './protocol-error.js';
import { readUint32, readUint64, writeUint16, writeUint32, writeUint64 } from './wire-number.js';

/** Bytes of a compact request header. */
export const REQUEST_HEADER_BYTES = 28;
/** Bytes of an extended request header. */
export const EXTENDED_REQUEST_HEADER_BYTES = 32;

/** One request as it came from the wire. Nothing in it has been checked against the export. */
export interface NbdRequest {
  /** Bits of NBD_CMD_FLAG; unknown ones are kept. */
  readonly flags: number;
  /** A number of NBD_CMD, or one that we do not know. */
  readonly command: number;
  /**
   * The opaque cookie as two u32 halves: it is only ever copied into the reply, and a BigInt would be
   * one more object to allocate and collect for every request.
   */
  readonly cookieHigh: number;
  readonly cookieLow: number;
  /** May be beyond 2^53, then rounded: that is beyond every device's end, where the request is refused. */
  readonly offsetBytes: number;
  /** A u32; with extended headers a u64, rounded beyond 2^53. */
  readonly lengthBytes: number;
  /** The data of a write, in order, together `lengthBytes` long: views onto received chunks. Else empty. */
  readonly payload: readonly Buffer[];
  /** A write longer than the payload limit: its data was skipped, `payload` is empty, the answer is an error. */
  readonly oversized: boolean;
}

const NO_PAYLOAD: readonly Buffer[] = [];

/** One class for all requests, so that the hot path sees one object shape. */
export class ReceivedRequest implements NbdRequest {
  payload = NO_PAYLOAD;
  oversized = false;

  constructor(
    readonly flags: number,
    readonly command: number,
    readonly cookieHigh: number,
    readonly cookieLow: number,
    readonly offsetBytes: number,
    readonly lengthBytes: number,
  ) {}
}

/**
 * Decodes the header that begins at `at`; the caller has seen to it that all its bytes are there.
 *
 * @throws NbdProtocolError on a wrong magic
 */
export function decodeRequestHeader(
  bytes: Buffer,
  at: number,
  extendedHeaders: boolean,
): ReceivedRequest {
  const expected = extendedHeaders ? NBD_MAGIC.EXTENDED_REQUEST : NBD_MAGIC.REQUEST;
  const magic = readUint32(bytes, at);
  if (magic !== expected) {
    throw new NbdProtocolError(
      `request magic is 0x${magic.toString(16)}, expected 0x${expected.toString(16)}`,
    );
  }
  const flagsAndCommand = readUint32(bytes, at + 4);
  return new ReceivedRequest(
    flagsAndCommand >>> 16,
    flagsAndCommand & 0xffff,
    readUint32(bytes, at + 8),
    readUint32(bytes, at + 12),
    readUint64(bytes, at + 16),
    extendedHeaders ? readUint64(bytes, at + 24) : readUint32(bytes, at + 24),
  );
}

/** What a client says in a request header. */
export type RequestHeader = Pick<
  NbdRequest,
  'flags' | 'command' | 'cookieHigh' | 'cookieLow' | 'offsetBytes' | 'lengthBytes'
>;

/**
 * The bytes of a request header. With extended headers a write gets NBD_CMD_FLAG_PAYLOAD_LEN by itself.
 * The data of a write is sent behind it by the caller.
 *
 * @param header offset and length are whole numbers from 0; without extended headers the length is a u32
 */
export function encodeRequestHeader(header: RequestHeader, extendedHeaders: boolean): Buffer {
  const { command, cookieHigh, cookieLow, offsetBytes, lengthBytes } = header;
  const bytes = Buffer.allocUnsafe(
    extendedHeaders ? EXTENDED_REQUEST_HEADER_BYTES : REQUEST_HEADER_BYTES,
  );
  const addsPayloadFlag = extendedHeaders && command === NBD_CMD.WRITE;
  const flags = addsPayloadFlag ? header.flags | NBD_CMD_FLAG.PAYLOAD_LEN : header.flags;
  writeUint32(bytes, 0, extendedHeaders ? NBD_MAGIC.EXTENDED_REQUEST : NBD_MAGIC.REQUEST);
  writeUint16(bytes, 4, flags);
  writeUint16(bytes, 6, command);
  writeUint32(bytes, 8, cookieHigh);
  writeUint32(bytes, 12, cookieLow);
  writeUint64(bytes, 16, offsetBytes);
  if (extendedHeaders) writeUint64(bytes, 24, lengthBytes);
  else writeUint32(bytes, 24, lengthBytes);
  return bytes;
}
