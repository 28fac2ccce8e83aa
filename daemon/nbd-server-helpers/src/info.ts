/**
 * What is told about an export in the handshake: the data of NBD_OPT_INFO and NBD_OPT_GO and of their
 * NBD_REP_INFO replies, of NBD_REP_SERVER, and the old answer to NBD_OPT_EXPORT_NAME.
 */
import { NBD_DEFAULT_SIZES, NBD_FLAG, NBD_INFO, NBD_MINIMUM_BLOCK_BYTES_MAX } from './constants.js';
import { NbdProtocolError } from './protocol-error.js';
import type { ReplyKind } from './structured-reply.js';
import { readUint64, writeUint64 } from './wire-number.js';
import { InvalidOptionData, OptionDataReader, decodeString, encodeString } from './wire-string.js';

/** An export, as the handshake describes it. */
export interface ExportFacts {
  /** The canonical name; the client may have asked for it as '', the default export. */
  readonly name: string;
  /** A multiple of minimumBlockBytes; a safe integer. */
  readonly sizeBytes: number;
  /** Bits of NBD_FLAG. */
  readonly transmissionFlags: number;
  /** Offsets and lengths are multiples of this power of two, 1 to 65536. */
  readonly minimumBlockBytes: number;
  /** A power of two, at least minimumBlockBytes and 512. */
  readonly preferredBlockBytes: number;
  /** Most bytes of one read or write; at least preferredBlockBytes, below 2^32. */
  readonly maximumPayloadBytes: number;
  /** For a human; undefined or empty for none. */
  readonly description?: string | undefined;
  /** Names of the metadata contexts that block status can be asked for. */
  readonly metaContexts: readonly string[];
}

/** The data of NBD_OPT_INFO and NBD_OPT_GO. */
export interface InfoRequest {
  readonly exportName: string;
  /** Numbers of NBD_INFO that the client asks for; unknown ones included. */
  readonly wanted: ReadonlySet<number>;
}

/** @throws InvalidOptionData */
export function decodeInfoRequest(data: Buffer): InfoRequest {
  const reader = new OptionDataReader(data);
  const exportName = reader.string('export name');
  const count = reader.u16('number of information requests');
  const list = reader.take(2 * count, 'list of information requests');
  reader.end();
  const wanted = new Set<number>();
  for (let at = 0; at < list.length; at += 2) wanted.add(list.readUInt16BE(at));
  return { exportName, wanted };
}

export function encodeInfoRequest(exportName: string, wanted: readonly number[]): Buffer {
  const list = Buffer.alloc(2 + 2 * wanted.length);
  list.writeUInt16BE(wanted.length, 0);
  wanted.forEach((info, index) => list.writeUInt16BE(info, 2 + 2 * index));
  return Buffer.concat([encodeString(exportName), list]);
}

/**
 * The transmission flags as this client may see them: NBD_FLAG_SEND_DF only where replies can be
 * fragmented, NBD_FLAG_SEND_FAST_ZERO only together with NBD_FLAG_SEND_WRITE_ZEROES.
 */
export function announcedFlags(facts: ExportFacts, replyKind: ReplyKind): number {
  let flags = facts.transmissionFlags | NBD_FLAG.HAS_FLAGS;
  if (replyKind === 'simple') flags &= ~NBD_FLAG.SEND_DF;
  if ((flags & NBD_FLAG.SEND_WRITE_ZEROES) === 0) flags &= ~NBD_FLAG.SEND_FAST_ZERO;
  return flags;
}

/**
 * The data of the NBD_REP_INFO replies for one export. Size and block sizes are always told: a client
 * ignores what it does not understand, and one that understands will send requests that fit.
 */
export function encodeInfos(
  facts: ExportFacts,
  flags: number,
  wanted: ReadonlySet<number>,
): Buffer[] {
  const size = infoOf(NBD_INFO.EXPORT, 10);
  size.writeUInt16BE(flags, writeUint64(size, 2, facts.sizeBytes));
  const blockSize = infoOf(NBD_INFO.BLOCK_SIZE, 12);
  blockSize.writeUInt32BE(facts.minimumBlockBytes, 2);
  blockSize.writeUInt32BE(facts.preferredBlockBytes, 6);
  blockSize.writeUInt32BE(facts.maximumPayloadBytes, 10);
  const infos = [size, blockSize];
  if (wanted.has(NBD_INFO.NAME)) infos.push(textInfo(NBD_INFO.NAME, facts.name));
  if (wanted.has(NBD_INFO.DESCRIPTION) && facts.description !== undefined) {
    infos.push(textInfo(NBD_INFO.DESCRIPTION, facts.description));
  }
  return infos;
}

function infoOf(type: number, payloadBytes: number): Buffer {
  const info = Buffer.alloc(2 + payloadBytes);
  info.writeUInt16BE(type, 0);
  return info;
}

function textInfo(type: number, text: string): Buffer {
  return Buffer.concat([infoOf(type, 0), Buffer.from(text, 'utf8')]);
}

/** What NBD_REP_INFO replies said; collected one by one by the client. */
export type LearnedFacts = { -readonly [Key in keyof ExportFacts]?: ExportFacts[Key] };

/**
 * Adds one NBD_REP_INFO to what is known; an unknown type is ignored, as the specification asks.
 *
 * @throws NbdProtocolError on a wrong length or impossible sizes
 */
export function decodeInfo(data: Buffer, learned: LearnedFacts): void {
  if (data.length < 2) throw new NbdProtocolError('information reply without a type');
  const payload = data.subarray(2);
  switch (data.readUInt16BE(0)) {
    case NBD_INFO.EXPORT:
      expectBytes(payload, 10, 'NBD_INFO_EXPORT');
      learned.sizeBytes = checkedSize(readUint64(payload, 0));
      learned.transmissionFlags = payload.readUInt16BE(8);
      return;
    case NBD_INFO.BLOCK_SIZE:
      expectBytes(payload, 12, 'NBD_INFO_BLOCK_SIZE');
      learned.minimumBlockBytes = payload.readUInt32BE(0);
      learned.preferredBlockBytes = payload.readUInt32BE(4);
      learned.maximumPayloadBytes = payload.readUInt32BE(8);
      checkBlockSizes(learned.minimumBlockBytes, learned.preferredBlockBytes, learned);
      return;
    case NBD_INFO.NAME:
      learned.name = serverString(payload, 'canonical export name');
      return;
    case NBD_INFO.DESCRIPTION:
      learned.description = serverString(payload, 'export description');
  }
}

/** What was learned, completed with what holds when a server says nothing. */
export function completeFacts(
  learned: LearnedFacts,
  askedName: string,
  metaContexts: readonly string[],
): ExportFacts {
  const { sizeBytes, transmissionFlags } = learned;
  if (sizeBytes === undefined || transmissionFlags === undefined) {
    throw new NbdProtocolError('the server did not tell the size of the export');
  }
  return {
    ...NBD_DEFAULT_SIZES,
    name: askedName,
    ...learned,
    sizeBytes,
    transmissionFlags,
    metaContexts,
  };
}

/** Bytes of the answer to NBD_OPT_EXPORT_NAME before its zeroes. */
export const EXPORT_NAME_REPLY_BYTES = 10;
/** The zeroes behind it, unless both sides agreed to leave them out. */
export const EXPORT_NAME_ZEROES_BYTES = 124;

export function encodeExportNameReply(facts: ExportFacts, flags: number, zeroes: boolean): Buffer {
  const reply = Buffer.alloc(EXPORT_NAME_REPLY_BYTES + (zeroes ? EXPORT_NAME_ZEROES_BYTES : 0));
  reply.writeUInt16BE(flags, writeUint64(reply, 0, facts.sizeBytes));
  return reply;
}

/** @param reply EXPORT_NAME_REPLY_BYTES bytes @throws NbdProtocolError on an impossible size */
export function decodeExportNameReply(reply: Buffer): LearnedFacts {
  return { sizeBytes: checkedSize(readUint64(reply, 0)), transmissionFlags: reply.readUInt16BE(8) };
}

/** One entry of the export list. */
export interface ListedExport {
  readonly name: string;
  readonly description?: string | undefined;
}

/** The data of NBD_REP_SERVER. */
export function encodeListedExport({ name, description = '' }: ListedExport): Buffer {
  return Buffer.concat([encodeString(name), Buffer.from(description, 'utf8')]);
}

/** @throws InvalidOptionData */
export function decodeListedExport(data: Buffer): ListedExport {
  const reader = new OptionDataReader(data);
  const name = reader.string('export name');
  const description = reader.take(reader.remainingBytes, 'description');
  return { name, description: decodeString(description, 'export description') };
}

function expectBytes(payload: Buffer, bytes: number, what: string): void {
  if (payload.length === bytes) return;
  throw new NbdProtocolError(`${what} has ${payload.length} bytes behind its type, not ${bytes}`);
}

function checkedSize(sizeBytes: number): number {
  if (Number.isSafeInteger(sizeBytes)) return sizeBytes;
  throw new NbdProtocolError(`export of ${sizeBytes} bytes: more than 2^53 - 1 are not supported`);
}

function checkBlockSizes(minimum: number, preferred: number, learned: LearnedFacts): void {
  const { maximumPayloadBytes: maximum = 0 } = learned;
  const minimumFits = isPowerOfTwo(minimum) && minimum <= NBD_MINIMUM_BLOCK_BYTES_MAX;
  const preferredFits = isPowerOfTwo(preferred) && preferred >= Math.max(minimum, 512);
  if (minimumFits && preferredFits && maximum >= preferred) return;
  throw new NbdProtocolError(
    `block sizes ${minimum} (minimum), ${preferred} (preferred), ${maximum} (maximum) contradict the specification`,
  );
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}

function serverString(bytes: Buffer, what: string): string {
  try {
    return decodeString(bytes, what);
  } catch (cause) {
    if (!(cause instanceof InvalidOptionData)) throw cause;
    throw new NbdProtocolError(cause.message, { cause });
  }
}
