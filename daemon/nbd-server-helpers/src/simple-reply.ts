/**
 * The simple reply: 16 bytes, then the data of a successful read. The only reply a client without
 * structured replies understands; the Linux kernel's is one of them.
 *
 * Layout, network byte order (proto.md, "Simple reply message"):
 *    0  u32  magic      4  u32  error      8  u64  cookie
 */
import { NBD_MAGIC } from './constants.js';
import { writeUint32 } from './wire-number.js';

/** Bytes of a simple reply without data. */
export const SIMPLE_REPLY_BYTES = 16;

/**
 * Writes a simple reply; the data of a read is written behind it by the caller.
 *
 * @param target has SIMPLE_REPLY_BYTES left from `at` on
 * @param error a number of NBD_ERROR, 0 for success
 * @returns the position behind the reply
 */
export function writeSimpleReply(
  target: Buffer,
  at: number,
  error: number,
  cookieHigh: number,
  cookieLow: number,
): number {
  writeUint32(target, at, NBD_MAGIC.SIMPLE_REPLY);
  writeUint32(target, at + 4, error);
  writeUint32(target, at + 8, cookieHigh);
  return writeUint32(target, at + 12, cookieLow);
}
