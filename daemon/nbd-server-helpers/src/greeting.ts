/**
 * The first message of a connection, from server to client.
 *
 * Layout, network byte order (proto.md, "Newstyle negotiation"):
 *    0  u64  "NBDMAGIC"      8  u64  "IHAVEOPT"      16  u16  handshake flags
 */
import { NBD_HANDSHAKE_FLAG, NBD_MAGIC } from './constants.js';
import { NbdProtocolError } from './protocol-error.js';

export const GREETING_BYTES = 18;

/** The greeting of a fixed newstyle server that can leave out the zeroes. */
export function encodeGreeting(): Buffer {
  const greeting = Buffer.alloc(GREETING_BYTES);
  greeting.writeUInt32BE(NBD_MAGIC.INIT_PASSWD_HIGH, 0);
  greeting.writeUInt32BE(NBD_MAGIC.INIT_PASSWD_LOW, 4);
  greeting.writeUInt32BE(NBD_MAGIC.OPTION_HIGH, 8);
  greeting.writeUInt32BE(NBD_MAGIC.OPTION_LOW, 12);
  greeting.writeUInt16BE(NBD_HANDSHAKE_FLAG.FIXED_NEWSTYLE | NBD_HANDSHAKE_FLAG.NO_ZEROES, 16);
  return greeting;
}

/**
 * @param greeting GREETING_BYTES bytes
 * @returns bits of NBD_HANDSHAKE_FLAG; unknown ones are to be ignored
 * @throws NbdProtocolError if the server does not speak NBD, or only its oldstyle handshake
 */
export function decodeGreeting(greeting: Buffer): number {
  const high = greeting.readUInt32BE(8);
  const low = greeting.readUInt32BE(12);
  if (
    greeting.readUInt32BE(0) !== NBD_MAGIC.INIT_PASSWD_HIGH ||
    greeting.readUInt32BE(4) !== NBD_MAGIC.INIT_PASSWD_LOW
  ) {
    throw new NbdProtocolError(`not an NBD server, it begins with 0x${greeting.toString('hex')}`);
  }
  if (high === NBD_MAGIC.OLDSTYLE_HIGH && low === NBD_MAGIC.OLDSTYLE_LOW) {
    throw new NbdProtocolError('the server speaks the oldstyle handshake, which is not supported');
  }
  if (high !== NBD_MAGIC.OPTION_HIGH || low !== NBD_MAGIC.OPTION_LOW) {
    throw new NbdProtocolError(`unknown NBD handshake 0x${greeting.toString('hex')}`);
  }
  return greeting.readUInt16BE(16);
}
