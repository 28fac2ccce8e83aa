/**
 * Options and their replies, the messages of the handshake: encode and decode the frames around the
 * data. What single options carry is info.ts and meta-context.ts.
 *
 * Layout, network byte order (proto.md, "Newstyle negotiation", "Fixed newstyle negotiation"):
 *   option:  0  u64  "IHAVEOPT"     8  u32  option     12  u32  data length
 *   reply:   0  u64  reply magic    8  u32  option     12  u32  reply type    16  u32  data length
 */
import { NBD_MAGIC, NBD_REP_FIRST_ERROR, NBD_STRING_BYTES_MAX } from './constants.js';
import { NbdProtocolError } from './protocol-error.js';
import { encodeText } from './wire-string.js';

export const OPTION_HEADER_BYTES = 16;
export const OPTION_REPLY_HEADER_BYTES = 20;

export interface OptionHeader {
  /** A number of NBD_OPT, or one that we do not know. */
  readonly option: number;
  readonly dataBytes: number;
}

export interface OptionReplyHeader extends OptionHeader {
  /** A number of NBD_REP, or one that we do not know. */
  readonly type: number;
}

/**
 * @param bytes OPTION_HEADER_BYTES bytes
 * @throws NbdProtocolError on a wrong magic
 */
export function decodeOptionHeader(bytes: Buffer): OptionHeader {
  expectMagic(bytes, NBD_MAGIC.OPTION_HIGH, NBD_MAGIC.OPTION_LOW, 'option');
  return { option: bytes.readUInt32BE(8), dataBytes: bytes.readUInt32BE(12) };
}

export function encodeOption(option: number, data: Buffer): Buffer {
  const header = Buffer.alloc(OPTION_HEADER_BYTES);
  header.writeUInt32BE(NBD_MAGIC.OPTION_HIGH, 0);
  header.writeUInt32BE(NBD_MAGIC.OPTION_LOW, 4);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(data.length, 12);
  return Buffer.concat([header, data]);
}

/**
 * @param bytes OPTION_REPLY_HEADER_BYTES bytes
 * @throws NbdProtocolError on a wrong magic
 */
export function decodeOptionReplyHeader(bytes: Buffer): OptionReplyHeader {
  expectMagic(bytes, NBD_MAGIC.OPTION_REPLY_HIGH, NBD_MAGIC.OPTION_REPLY_LOW, 'option reply');
  return {
    option: bytes.readUInt32BE(8),
    type: bytes.readUInt32BE(12),
    dataBytes: bytes.readUInt32BE(16),
  };
}

/** @param type a number of NBD_REP */
export function encodeOptionReply(option: number, type: number, data: Buffer): Buffer {
  const header = Buffer.alloc(OPTION_REPLY_HEADER_BYTES);
  header.writeUInt32BE(NBD_MAGIC.OPTION_REPLY_HIGH, 0);
  header.writeUInt32BE(NBD_MAGIC.OPTION_REPLY_LOW, 4);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(type, 12);
  header.writeUInt32BE(data.length, 16);
  return Buffer.concat([header, data]);
}

/** @param type an error of NBD_REP @param text for a human */
export function encodeOptionError(option: number, type: number, text: string): Buffer {
  return encodeOptionReply(option, type, encodeText(text, NBD_STRING_BYTES_MAX));
}

export function isErrorReply(type: number): boolean {
  return type >= NBD_REP_FIRST_ERROR;
}

/** @throws NbdProtocolError if the message does not begin with these eight bytes */
function expectMagic(bytes: Buffer, high: number, low: number, message: string): void {
  if (bytes.readUInt32BE(0) === high && bytes.readUInt32BE(4) === low) return;
  throw new NbdProtocolError(
    `${message} begins with 0x${bytes.toString('hex', 0, 8)}, not its magic`,
  );
}
