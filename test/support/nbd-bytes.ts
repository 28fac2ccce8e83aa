/**
 * The NBD wire once more, as naively as possible, so that tests do not take their expected bytes from
 * the code they test: hexadecimal text is put together, and every number stands here as a literal from
 * proto.md. Nothing of nbd-server-helpers is imported.
 *
 *     option(7, text('vol0'), u16(0))      an option with its data
 *     cuts(bytes)                          every way to cut the bytes in two
 */

export function hex(digits: string): Buffer {
  return Buffer.from(digits.replaceAll(' ', ''), 'hex');
}

export function u16(value: number): Buffer {
  return hex(value.toString(16).padStart(4, '0'));
}

export function u32(value: number): Buffer {
  return hex(value.toString(16).padStart(8, '0'));
}

export function u64(value: number | bigint): Buffer {
  return hex(BigInt(value).toString(16).padStart(16, '0'));
}

export function bytes(...parts: readonly (Buffer | string)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
}

/** A string with its length in front. */
export function text(value: string): Buffer {
  return bytes(u32(Buffer.byteLength(value)), value);
}

export const GREETING = hex('4e42444d41474943 49484156454f5054 0003');

export function option(number: number, ...data: readonly (Buffer | string)[]): Buffer {
  const content = bytes(...data);
  return bytes(hex('49484156454f5054'), u32(number), u32(content.length), content);
}

export function optionReply(
  number: number,
  type: number,
  ...data: readonly (Buffer | string)[]
): Buffer {
  const content = bytes(...data);
  return bytes(hex('0003e889045565a9'), u32(number), u32(type), u32(content.length), content);
}

/** The fields of a request as a test states them. */
export interface WireRequest {
  readonly flags: number;
  readonly command: number;
  readonly cookie: bigint;
  readonly offset: bigint;
  readonly length: number | bigint;
  readonly payload: Buffer;
}

export const READ: WireRequest = {
  flags: 0,
  command: 0,
  cookie: 0x1122334455667788n,
  offset: 0n,
  length: 512,
  payload: Buffer.alloc(0),
};

/** A write of `payload`. */
export function write(payload: Buffer, cookie: bigint, offset = 4096n): WireRequest {
  return { flags: 0, command: 1, cookie, offset, length: payload.length, payload };
}

export function request(fields: WireRequest): Buffer {
  const { flags, command, cookie, offset, length, payload } = fields;
  return bytes(
    hex('25609513'),
    u16(flags),
    u16(command),
    u64(cookie),
    u64(offset),
    u32(Number(length)),
    payload,
  );
}

export function extendedRequest(fields: WireRequest): Buffer {
  const { flags, command, cookie, offset, length, payload } = fields;
  return bytes(
    hex('21e41c71'),
    u16(flags),
    u16(command),
    u64(cookie),
    u64(offset),
    u64(length),
    payload,
  );
}

export function simpleReply(error: number, cookie: bigint, ...data: readonly Buffer[]): Buffer {
  return bytes(hex('67446698'), u32(error), u64(cookie), ...data);
}

/** @param flags 1 on the last chunk of a reply */
export function chunk(
  flags: number,
  type: number,
  cookie: bigint,
  ...payload: readonly (Buffer | string)[]
): Buffer {
  const content = bytes(...payload);
  return bytes(hex('668e33ef'), u16(flags), u16(type), u64(cookie), u32(content.length), content);
}

export function extendedChunk(
  flags: number,
  type: number,
  cookie: bigint,
  offset: number | bigint,
  ...payload: readonly (Buffer | string)[]
): Buffer {
  const content = bytes(...payload);
  return bytes(
    hex('6e8a278c'),
    u16(flags),
    u16(type),
    u64(cookie),
    u64(offset),
    u64(content.length),
    content,
  );
}

/** Bytes that are different everywhere, so that a misplaced one is seen. */
export function pattern(lengthBytes: number, seed = 1): Buffer {
  const result = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at += 1) result[at] = (at * 31 + (at >> 8) * 7 + seed) & 0xff;
  return result;
}

/** The bytes cut at each place in two, and last into single bytes. Every chunk is a buffer of its own. */
export function* cuts(whole: Buffer): Generator<Buffer[]> {
  for (let at = 0; at <= whole.length; at += 1) {
    yield [Buffer.from(whole.subarray(0, at)), Buffer.from(whole.subarray(at))];
  }
  yield Array.from(whole, (byte) => Buffer.from([byte]));
}

/** Cuts bytes by a list of lengths, used again and again; every chunk is a buffer of its own. */
export function cut(whole: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, index = 0; at < whole.length; index += 1) {
    const end = at + (lengths[index % lengths.length] ?? whole.length);
    chunks.push(Buffer.from(whole.subarray(at, end)));
    at = end;
  }
  return chunks;
}
