/**
 * Strings of the handshake, and the cursor that reads option data made of them: names and queries with
 * their length in front. Every length is checked before it is used.
 */
import { NBD_STRING_BYTES_MAX } from './constants.js';

/**
 * Option data that does not follow its layout. The server answers it with NBD_REP_ERR_INVALID and goes
 * on; for the client it is a broken conversation.
 */
export class InvalidOptionData extends Error {
  override readonly name = 'InvalidOptionData';
}

// A name must come back as the bytes it was: no byte order mark removed, nothing replaced.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * @param what names the string in the error
 * @throws InvalidOptionData if it is too long, not UTF-8 or contains NUL
 */
export function decodeString(bytes: Buffer, what: string): string {
  if (bytes.length > NBD_STRING_BYTES_MAX) {
    throw new InvalidOptionData(
      `${what} has ${bytes.length} bytes, at most ${NBD_STRING_BYTES_MAX} are allowed`,
    );
  }
  if (bytes.includes(0)) throw new InvalidOptionData(`${what} contains NUL`);
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new InvalidOptionData(`${what} is not UTF-8`);
  }
}

/** Reads option data from front to back. */
export class OptionDataReader {
  #at = 0;

  constructor(readonly data: Buffer) {}

  get remainingBytes(): number {
    return this.data.length - this.#at;
  }

  /** @throws InvalidOptionData if the data ends before */
  take(bytes: number, what: string): Buffer {
    if (bytes > this.remainingBytes) {
      throw new InvalidOptionData(
        `${what} needs ${bytes} bytes, but only ${this.remainingBytes} are left in the option`,
      );
    }
    this.#at += bytes;
    return this.data.subarray(this.#at - bytes, this.#at);
  }

  u16(what: string): number {
    return this.take(2, what).readUInt16BE(0);
  }

  u32(what: string): number {
    return this.take(4, what).readUInt32BE(0);
  }

  /** A string with its length as u32 in front. */
  string(what: string): string {
    return decodeString(this.take(this.u32(`length of ${what}`), what), what);
  }

  /** @throws InvalidOptionData if something is left */
  end(): void {
    if (this.remainingBytes > 0) {
      throw new InvalidOptionData(`${this.remainingBytes} bytes too many in the option`);
    }
  }
}

/** The string with its length as u32 in front. */
export function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length, 0);
  return Buffer.concat([length, bytes]);
}

/** UTF-8 without NUL, cut at a character's border: strings of the wire may have neither NUL nor half a character. */
export function encodeText(text: string, bytesMax: number): Buffer {
  const bytes = Buffer.from(text.replaceAll('\0', '?'), 'utf8');
  if (bytes.length <= bytesMax) return bytes;
  let end = bytesMax;
  // Bytes 10xxxxxx continue a character that began before.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}
