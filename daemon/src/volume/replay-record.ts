/**
 * One record of a replay file: a header, then the payload, then its end. A record without a payload has no end.
 *
 *    0  u32  magic  "BFR3"                     16  u32  operation + (flags << 8)
 *    4  u32  digest                            20  u32  payload length, bytes
 *    8  u64  sequence                          24  u64  offset, bytes
 *   40  u32  number of the segment              32  u64  length, bytes; the payload is from 44 on
 *    end: u32  the same digest, u32  its complement
 *
 * Network byte order. The digest is of the header's words from 8 on. A record is whole if its digest fits, it names the
 * segment that it is in, and its end is there.
 *
 * What a dying process leaves is the first part of what it was writing, so the end, which is written last, tells that all
 * before it is there. There is no checksum of the payload: it could only find out what memory itself has damaged, of
 * which the same data is in danger on all of its way, and was measured at 45 % of the daemon's time for large writes.
 */
import { BLOCK_OPERATION, payloadBytes } from '../block/block-request.js';
import type { Gatherer } from '../runtime/gatherer.js';
import { REPLAY_REMOVED, type ReplayPosition, type ReplayRecord } from './replay-store.js';

const MAGIC = 0x42465233;
export const HEADER_BYTES = 44;
const END_BYTES = 8;
const TWO_32 = 0x1_0000_0000;
const DIGEST_OF_NOTHING = 0x811c9dc5;

export interface ReadRecord {
  readonly record: ReplayRecord;
  readonly position: ReplayPosition;
}

/** Bytes of a record. */
export function recordBytes(payloadLength: number): number {
  return payloadLength === 0 ? HEADER_BYTES : HEADER_BYTES + payloadLength + END_BYTES;
}

/** Adds a record to what is to be written. */
export function pushRecord(
  gatherer: Gatherer,
  record: ReplayRecord,
  segment: number,
  payload: readonly Buffer[],
): void {
  gatherer.reserve(HEADER_BYTES);
  const at = gatherer.position;
  const digest = writeHeader(gatherer.view, at, record, segment, payloadBytes(payload));
  gatherer.advance(at + HEADER_BYTES);
  if (payload.length === 0) return;
  for (const piece of payload) gatherer.push(piece);
  gatherer.reserve(END_BYTES);
  const endAt = gatherer.position;
  gatherer.view.setInt32(endAt, digest);
  gatherer.view.setInt32(endAt + 4, ~digest);
  gatherer.advance(endAt + END_BYTES);
}

/** @returns its digest */
function writeHeader(
  view: DataView,
  at: number,
  { sequence, operation, flags, offsetBytes, lengthBytes }: ReplayRecord,
  segment: number,
  payloadLength: number,
): number {
  view.setInt32(at, MAGIC);
  let digest = writeUint64(view, at + 8, sequence, DIGEST_OF_NOTHING);
  digest = writeWord(view, at + 16, operation + flags * 256, digest);
  digest = writeWord(view, at + 20, payloadLength, digest);
  digest = writeUint64(view, at + 24, offsetBytes, digest);
  digest = writeUint64(view, at + 32, lengthBytes, digest);
  digest = writeWord(view, at + 40, segment, digest);
  view.setInt32(at + 4, digest);
  return digest;
}

/** @returns the digest of what was written so far */
function writeUint64(view: DataView, at: number, value: number, digest: number): number {
  return writeWord(view, at + 4, value, writeWord(view, at, value / TWO_32, digest));
}

/** The lowest 32 bits of a whole number; of a fraction it is not looked at. */
function writeWord(view: DataView, at: number, value: number, digest: number): number {
  const word = value | 0;
  view.setInt32(at, word);
  return withWord(digest, word);
}

/** FNV-1a over words: every bit of every word counts. @returns a signed 32-bit number, as all digests here */
function withWord(digest: number, word: number): number {
  const product = Math.imul(digest ^ word, 0x01000193);
  // The multiplication carries upwards only.
  return product ^ (product >>> 15);
}

function headerDigest(bytes: Buffer, at: number): number {
  let digest = DIGEST_OF_NOTHING;
  for (let word = at + 8; word < at + HEADER_BYTES; word += 4)
    digest = withWord(digest, bytes.readInt32BE(word));
  return digest;
}

/** Every whole record from the beginning on, and where the first byte that is none stands. */
export function readRecords(
  bytes: Buffer,
  segment: number,
): { records: ReadRecord[]; goodBytes: number } {
  const records: ReadRecord[] = [];
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const payloadLength = bytes.readUInt32BE(at + 20);
    const end = at + recordBytes(payloadLength);
    if (bytes.readUInt32BE(at) !== MAGIC || end > bytes.length) break;
    if (bytes.readUInt32BE(at + 40) !== segment) break;
    const digest = headerDigest(bytes, at);
    if (digest !== bytes.readInt32BE(at + 4)) break;
    if (payloadLength > 0 && !isEnd(bytes, end - END_BYTES, digest)) break;
    const record = readRecord(bytes, at);
    if (!isPossible(record, payloadLength)) break;
    records.push({ record, position: { segment, offsetBytes: at + HEADER_BYTES } });
    at = end;
  }
  return { records, goodBytes: at };
}

/** Whatever fits its digest and was never written here, was written by a version that this one does not know. */
function isPossible(record: ReplayRecord, payloadLength: number): boolean {
  const { sequence, operation, offsetBytes, lengthBytes } = record;
  if (!Number.isSafeInteger(sequence)) return false;
  switch (operation) {
    case BLOCK_OPERATION.write:
      return (
        payloadLength > 0 && payloadLength === lengthBytes && isRange(offsetBytes, lengthBytes)
      );
    case BLOCK_OPERATION.trim:
    case BLOCK_OPERATION['write-zeroes']:
      return payloadLength === 0 && isRange(offsetBytes, lengthBytes);
    default:
      return payloadLength === 0 && operation === REPLAY_REMOVED;
  }
}

function isRange(offsetBytes: number, lengthBytes: number): boolean {
  return Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(offsetBytes + lengthBytes);
}

function isEnd(bytes: Buffer, at: number, digest: number): boolean {
  return bytes.readInt32BE(at) === digest && bytes.readInt32BE(at + 4) === ~digest;
}

function readRecord(bytes: Buffer, at: number): ReplayRecord {
  const operation = bytes.readUInt32BE(at + 16);
  return {
    sequence: readUint64(bytes, at + 8),
    operation: operation % 256,
    flags: Math.floor(operation / 256),
    offsetBytes: readUint64(bytes, at + 24),
    lengthBytes: readUint64(bytes, at + 32),
  };
}

function readUint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * TWO_32 + bytes.readUInt32BE(at + 4);
}
