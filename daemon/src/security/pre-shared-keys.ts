/**
 * Keys that both ends of a TLS connection were given before, in the file that GnuTLS's psktool writes: a line for
 * each client, its name, a colon, the key in hexadecimal digits. Read as a whole or not at all.
 */
import fs from 'node:fs';

/** A key shorter than that can be searched for. */
export const PSK_BYTES_MIN = 16;
/** OpenSSL takes no longer one. */
export const PSK_BYTES_MAX = 256;
/** Names of clients and their keys: beyond it, it is another file. */
export const PSK_FILE_BYTES_MAX = 1024 * 1024;
/** TLS allows more; OpenSSL takes no longer one. */
export const PSK_IDENTITY_BYTES_MAX = 128;

/** A file that cannot be used; the sentence names the file, the line and the remedy, and no key. */
export class PreSharedKeysError extends Error {
  override readonly name = 'PreSharedKeysError';
}

export class PreSharedKeys {
  private constructor(readonly keys: ReadonlyMap<string, Buffer>) {}

  /** @throws PreSharedKeysError */
  static fromFile(file: string): PreSharedKeys {
    let text: string;
    try {
      const { mode, size } = fs.statSync(file);
      if ((mode & 0o007) !== 0) {
        throw new PreSharedKeysError(
          `${file} may be opened by every user of this machine; chmod 600 ${file}`,
        );
      }
      if (size > PSK_FILE_BYTES_MAX)
        throw new PreSharedKeysError(
          `${file} has ${size} bytes, more than a file of pre-shared keys`,
        );
      text = fs.readFileSync(file, 'utf8');
    } catch (cause) {
      if (cause instanceof PreSharedKeysError) throw cause;
      const { message } = cause as Error;
      throw new PreSharedKeysError(`${file} cannot be read: ${message}`, { cause });
    }
    return PreSharedKeys.fromText(text, file);
  }

  /** @param file for messages @throws PreSharedKeysError */
  static fromText(text: string, file: string): PreSharedKeys {
    const keys = new Map<string, Buffer>();
    for (const [index, line] of text.split('\n').entries()) {
      if (line.trim() === '') continue;
      const where = `${file}: line ${index + 1}`;
      const [, identity = '', digits = ''] = /^([^:]+):((?:[0-9A-Fa-f]{2})+)\s*$/.exec(line) ?? [];
      if (identity === '')
        throw new PreSharedKeysError(
          `${where} is not NAME:KEY with the key in hexadecimal digits, as psktool writes it`,
        );
      const key = Buffer.from(digits, 'hex');
      if (key.length < PSK_BYTES_MIN || key.length > PSK_BYTES_MAX)
        throw new PreSharedKeysError(
          `${where}: the key of ${identity} has ${key.length} bytes, ${PSK_BYTES_MIN} to ${PSK_BYTES_MAX} are possible`,
        );
      if (Buffer.byteLength(identity) > PSK_IDENTITY_BYTES_MAX)
        throw new PreSharedKeysError(
          `${where}: the name has more than ${PSK_IDENTITY_BYTES_MAX} bytes`,
        );
      if (keys.has(identity))
        throw new PreSharedKeysError(`${where}: ${identity} has a key before`);
      keys.set(identity, key);
    }
    if (keys.size === 0) throw new PreSharedKeysError(`${file} has no key: nobody could connect`);
    return new PreSharedKeys(keys);
  }

  keyOf(identity: string): Buffer | undefined {
    return this.keys.get(identity);
  }
}
