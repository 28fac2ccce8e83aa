/**
 * One record of a replay file: a header, then the payload.
 *
 *    0  u32  magic  "BFR2"                     16  u32  operation + (flags << 8)
 *    4  u32  checksum                          20  u32  payload length, bytes
 *    8  u64  sequence                          24  u64  offset, bytes
 *   40  u32  number of the segment              32  u64  length, bytes; the payload is from 44 on
 *
 * Network byte order. The checksum is the CRC-32C of the payload, begun with a digest of the header's
 * words from 8 on: one call into native code for both, as a call costs as much as a kilobyte of data. A
 * record is whole if its checksum fits and it names the segment that it is in.
 */
import { crc32c } from '@node-rs/crc32';
import { BLOCK_OPERATION, payloadBytes } from '../block/block-request.js';
import { REPLAY_REMOVED, type ReplayPosition, type ReplayRecord } from './replay-store.js';

const MAGIC = 0x42465232;
export const HEADER_BYTES = 44;
const TWO_32 = 0x1_0000_0000;

export interface ReadRecord {
  readonly record: ReplayRecord;
  readonly position: ReplayPosition;
}

export function encodeRecordHeader(
  record: ReplayRecord,
  segment: number,
  payload: readonly Buffer[],
): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(MAGIC, 0);
  writeUint64(header, 8, record.sequence);
  header.writeUInt32BE(record.operation + record.flags * 256, 16);
  header.writeUInt32BE(payloadBytes(payload), 20);
  writeUint64(header, 24, record.offsetBytes);
  writeUint64(header, 32, record.lengthBytes);
  header.writeUInt32BE(segment, 40);
  let checksum = headerDigest(header, 0);
  for (const part of payload) checksum = crc32c(part, checksum);
  header.writeUInt32BE(checksum, 4);
  return header;
}

/** FNV-1a over words: every bit of every word counts. @returns an unsigned 32-bit number */
function headerDigest(bytes: Buffer, at: number): number {
  let digest = 0x811c9dc5;
  for (let word = at + 8; word < at + HEADER_BYTES; word += 4) {
    digest = Math.imul(digest ^ bytes.readInt32BE(word), 0x01000193);
    // The multiplication carries upwards only.
    digest ^= digest >>> 15;
  }
  return digest >>> 0;
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
    const end = at + HEADER_BYTES + payloadLength;
    if (bytes.readUInt32BE(at) !== MAGIC || end > bytes.length) break;
    if (bytes.readUInt32BE(at + 40) !== segment) break;
    if (checksumOf(bytes, at, end) !== bytes.readUInt32BE(at + 4)) break;
    const record = readRecord(bytes, at);
    if (!isPossible(record, payloadLength)) break;
    records.push({ record, position: { segment, offsetBytes: at + HEADER_BYTES } });
    at = end;
  }
  return { records, goodBytes: at };
}

/** Whatever fits its checksum and was never written here, was written by a version that this one does not know. */
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

function checksumOf(bytes: Buffer, at: number, end: number): number {
  const digest = headerDigest(bytes, at);
  return end === at + HEADER_BYTES
    ? digest
    : crc32c(bytes.subarray(at + HEADER_BYTES, end), digest);
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

function writeUint64(target: Buffer, at: number, value: number): void {
  target.writeUInt32BE(Math.floor(value / TWO_32), at);
  target.writeUInt32BE(value % TWO_32, at + 4);
}

function readUint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * TWO_32 + bytes.readUInt32BE(at + 4);
}
