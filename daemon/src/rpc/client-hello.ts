/**
 * Which protocols a TLS client offers (ALPN), read from the bytes with which it begins, which are not encrypted (RFC 8446,
 * 4.1.2 and 5.1; RFC 7301). Nothing of it is believed: whoever serves the connection then has TLS read the same bytes.
 *
 *     record     u8 type 22, u16 version, u16 length             the message may be cut over several
 *     handshake  u8 type 1, u24 length
 *     hello      u16 version, 32 random, <u8> session, <u16> ciphers, <u8> compressions, <u16> extensions
 *     extension  u16 type 16, <u16>: <u16> of <u8> name
 */

const RECORD_HEADER_BYTES = 5;
const HANDSHAKE_RECORD = 22;
/** RFC 8446, 5.1. */
const RECORD_BYTES_MAX = 16_384;
const HANDSHAKE_HEADER_BYTES = 4;
const CLIENT_HELLO = 1;
const VERSION_AND_RANDOM_BYTES = 34;
const ALPN_EXTENSION = 16;
/** Of the whole message. With keys against quantum computers it has some 2 KiB; who sends more has no lane. */
export const HELLO_BYTES_MAX = 8192;
/** Over which it is cut: clients use one. Many small ones would cost us more than their sender. */
const RECORDS_MAX = 4;

const NO_PROTOCOLS: readonly string[] = [];

/** @returns in the client's order; none if it offers none, or speaks no TLS; undefined while too little is there to tell */
export function offeredProtocols(seen: Buffer): readonly string[] | undefined {
  const message = handshakeOf(seen);
  if (message === 'other') return NO_PROTOCOLS;
  if (message === 'cut') return undefined;
  return protocolsOf(message) ?? NO_PROTOCOLS;
}

/** @returns the ClientHello without its header */
function handshakeOf(seen: Buffer): Buffer | 'cut' | 'other' {
  let message = Buffer.alloc(0);
  let at = 0;
  for (let records = 0; records < RECORDS_MAX; records += 1) {
    if (at < seen.length && seen[at] !== HANDSHAKE_RECORD) return 'other';
    if (seen.length < at + RECORD_HEADER_BYTES) return 'cut';
    const recordBytes = seen.readUInt16BE(at + 3);
    if (recordBytes === 0 || recordBytes > RECORD_BYTES_MAX) return 'other';
    const from = at + RECORD_HEADER_BYTES;
    message = Buffer.concat([message, seen.subarray(from, from + recordBytes)]);
    if (message.length > 0 && message[0] !== CLIENT_HELLO) return 'other';
    if (message.length >= HANDSHAKE_HEADER_BYTES) {
      const helloBytes = message.readUIntBE(1, 3);
      if (helloBytes > HELLO_BYTES_MAX) return 'other';
      const end = HANDSHAKE_HEADER_BYTES + helloBytes;
      if (message.length >= end) return message.subarray(HANDSHAKE_HEADER_BYTES, end);
    }
    at = from + recordBytes;
    if (at > seen.length) return 'cut';
  }
  return 'other';
}

function protocolsOf(hello: Buffer): string[] | undefined {
  const reader = new VectorReader(hello);
  reader.skip(VERSION_AND_RANDOM_BYTES);
  reader.vector(1);
  reader.vector(2);
  reader.vector(1);
  const extensions = new VectorReader(reader.vector(2));
  while (extensions.hasMore) {
    const type = extensions.number(2);
    const content = new VectorReader(extensions.vector(2));
    if (type !== ALPN_EXTENSION) continue;
    const names = new VectorReader(content.vector(2));
    const protocols: string[] = [];
    while (names.hasMore) protocols.push(names.vector(1).toString('latin1'));
    return names.isBroken ? undefined : protocols;
  }
  return undefined;
}

/** Reads what stands behind its own length. Where a length is beyond the end, nothing more is there. */
class VectorReader {
  #at = 0;
  isBroken = false;

  constructor(readonly bytes: Buffer) {}

  get hasMore(): boolean {
    return this.#at < this.bytes.length;
  }

  skip(bytes: number): void {
    this.#take(bytes);
  }

  number(bytes: number): number {
    const taken = this.#take(bytes);
    return taken.length === 0 ? 0 : taken.readUIntBE(0, bytes);
  }

  /** @param lengthBytes of the number that says its length */
  vector(lengthBytes: number): Buffer {
    return this.#take(this.number(lengthBytes));
  }

  #take(bytes: number): Buffer {
    const end = this.#at + bytes;
    if (end > this.bytes.length) {
      this.isBroken = true;
      this.#at = this.bytes.length;
      return Buffer.alloc(0);
    }
    const taken = this.bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}
