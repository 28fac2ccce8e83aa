/**
 * Keeps replay records in files, so that they outlive the daemon. The folder belongs on tmpfs: its
 * pages survive every death of a process, and nothing here calls fsync, because only the loss of the
 * machine's memory could lose them, and the guests with them.
 *
 * A folder per attachment holds `identity.json` (whose records these are, and under which generation
 * they were written) and segments `00000001.log`, `00000002.log`, … of records end to end:
 *
 *    0  u32  magic  "BFR1"                     16  u32  operation + (flags << 8)
 *    4  u32  CRC-32C of bytes 8 to the end     20  u32  payload length, bytes
 *    8  u64  sequence                          24  u64  offset, bytes
 *                                              32  u64  length, bytes; then the payload
 *
 * A segment is removed when everything in it is below a flush; so what remains is a suffix of the
 * volume's history. A torn record at the end of the last segment was never answered and is cut off;
 * one anywhere else means damage, and the folder is refused rather than replayed with a gap.
 */
import fs from 'node:fs';
import path from 'node:path';
import { crc32c } from '@node-rs/crc32';
import { BLOCK_OPERATION, payloadBytes } from '../block/block-request.js';
import {
  REPLAY_REMOVED,
  type ReplayPosition,
  type ReplayRecord,
  type ReplayStore,
} from './replay-store.js';

const FORMAT = 1;
const MAGIC = 0x42465231;
const HEADER_BYTES = 40;
/** A new segment from here on: small enough that flushed data is given back soon, large enough to be rare. */
const SEGMENT_BYTES = 8 * 1024 * 1024;
const TWO_32 = 0x1_0000_0000;

export interface ReplayIdentity {
  readonly volumeId: string;
  readonly attachmentId: string;
  /** Under which the records were written; 0 before the first lease. */
  readonly generation: number;
}

export interface RecoveredReplay {
  readonly store: ReplayFile;
  readonly records: { record: ReplayRecord; position: ReplayPosition }[];
  readonly identity: ReplayIdentity;
}

interface Segment {
  readonly number: number;
  readonly fd: number;
  lastSequence: number;
}

export class ReplayFile implements ReplayStore {
  readonly #segments: Segment[] = [];
  #current: Segment;
  /** Bytes written to the current segment. */
  #writtenBytes = 0;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #identity: ReplayIdentity;

  private constructor(
    readonly folder: string,
    identity: ReplayIdentity,
    segments: Segment[],
  ) {
    this.#identity = identity;
    this.#segments = segments;
    this.#current = this.#newSegment((segments.at(-1)?.number ?? 0) + 1);
  }

  /**
   * Opens the folder, which is made if it is absent, with what an earlier run left in it.
   * @throws Error with a sentence if the folder is damaged or belongs to another volume
   */
  static open(folder: string, owner: { volumeId: string; attachmentId: string }): RecoveredReplay {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    const identity = readIdentity(folder) ?? { ...owner, generation: 0 };
    if (identity.attachmentId !== owner.attachmentId || identity.volumeId !== owner.volumeId) {
      throw new Error(
        `${folder} holds writes of volume ${identity.volumeId}, attachment ${identity.attachmentId}, ` +
          `not of ${owner.volumeId}, ${owner.attachmentId}; move the folder away to give those writes up`,
      );
    }
    const { segments, records } = readSegments(folder);
    const store = new ReplayFile(folder, identity, segments);
    store.#writeIdentity();
    return { store, records, identity };
  }

  append(record: ReplayRecord, payload: readonly Buffer[]): ReplayPosition {
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    const lengthBytes = payloadBytes(payload);
    header.writeUInt32BE(MAGIC, 0);
    writeUint64(header, 8, record.sequence);
    header.writeUInt32BE(record.operation + record.flags * 256, 16);
    header.writeUInt32BE(lengthBytes, 20);
    writeUint64(header, 24, record.offsetBytes);
    writeUint64(header, 32, record.lengthBytes);
    let checksum = crc32c(header.subarray(8));
    for (const part of payload) checksum = crc32c(part, checksum);
    header.writeUInt32BE(checksum, 4);
    const offsetBytes = this.#writtenBytes + this.#pendingBytes + HEADER_BYTES;
    this.#pending.push(header, ...payload);
    this.#pendingBytes += HEADER_BYTES + lengthBytes;
    this.#current.lastSequence = Math.max(this.#current.lastSequence, record.sequence);
    return { segment: this.#current.number, offsetBytes };
  }

  commit(): void {
    if (this.#pendingBytes === 0) return;
    const buffers = this.#pending;
    const expectedBytes = this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    const writtenBytes = fs.writevSync(this.#current.fd, buffers, this.#writtenBytes);
    if (writtenBytes !== expectedBytes) {
      // A short write on tmpfs means that it is full.
      throw Object.assign(new Error(`${this.folder}: no space left`), { code: 'ENOSPC' });
    }
    this.#writtenBytes += writtenBytes;
    if (this.#writtenBytes >= SEGMENT_BYTES) this.#rotate();
  }

  read(position: ReplayPosition, lengthBytes: number): Buffer {
    const segment = this.#segments.find((one) => one.number === position.segment);
    if (segment === undefined)
      throw new Error(`${this.folder}: segment ${position.segment} is gone`);
    const payload = Buffer.allocUnsafeSlow(lengthBytes);
    const readBytes = fs.readSync(segment.fd, payload, 0, lengthBytes, position.offsetBytes);
    if (readBytes !== lengthBytes)
      throw new Error(`${this.folder}: segment ${position.segment} ends too early`);
    return payload;
  }

  forgetBelow(sequence: number): void {
    if (sequence === Infinity) {
      this.#pending = [];
      this.#pendingBytes = 0;
    }
    while (this.#segments.length > 1 && (this.#segments[0]?.lastSequence ?? Infinity) < sequence) {
      const segment = this.#segments.shift();
      if (segment !== undefined) this.#remove(segment);
    }
    if (sequence === Infinity && this.#writtenBytes > 0) {
      fs.ftruncateSync(this.#current.fd, 0);
      this.#writtenBytes = 0;
    }
  }

  setGeneration(generation: number): void {
    this.#identity = { ...this.#identity, generation };
    this.#writeIdentity();
  }

  close(options: { remove: boolean }): void {
    for (const segment of this.#segments) fs.closeSync(segment.fd);
    this.#segments.length = 0;
    if (options.remove) fs.rmSync(this.folder, { recursive: true, force: true });
  }

  #rotate(): void {
    this.#current = this.#newSegment(this.#current.number + 1);
    this.#writtenBytes = 0;
  }

  #newSegment(number: number): Segment {
    const fd = fs.openSync(segmentPath(this.folder, number), 'wx+', 0o600);
    const segment = { number, fd, lastSequence: 0 };
    this.#segments.push(segment);
    return segment;
  }

  #remove(segment: Segment): void {
    fs.closeSync(segment.fd);
    fs.unlinkSync(segmentPath(this.folder, segment.number));
  }

  #writeIdentity(): void {
    const file = path.join(this.folder, 'identity.json');
    fs.writeFileSync(`${file}.new`, JSON.stringify({ format: FORMAT, ...this.#identity }), {
      mode: 0o600,
    });
    fs.renameSync(`${file}.new`, file);
  }
}

function segmentPath(folder: string, number: number): string {
  return path.join(folder, `${String(number).padStart(8, '0')}.log`);
}

function readIdentity(folder: string): ReplayIdentity | undefined {
  const file = path.join(folder, 'identity.json');
  if (!fs.existsSync(file)) return undefined;
  const { format, ...identity } = JSON.parse(fs.readFileSync(file, 'utf8')) as ReplayIdentity & {
    format: number;
  };
  if (format !== FORMAT)
    throw new Error(`${file} has format ${format}; this version reads format ${FORMAT}`);
  return identity;
}

function readSegments(folder: string): Pick<RecoveredReplay, 'records'> & { segments: Segment[] } {
  const names = fs.readdirSync(folder).filter((name) => /^\d{8}\.log$/.test(name));
  const segments: Segment[] = [];
  const records: RecoveredReplay['records'] = [];
  for (const [index, name] of names.sort().entries()) {
    const number = Number.parseInt(name, 10);
    const bytes = fs.readFileSync(path.join(folder, name));
    const found = readRecords(bytes, number);
    if (found.goodBytes < bytes.length) {
      if (index < names.length - 1) throw damage(path.join(folder, name), found.goodBytes);
      // Cut off, not only left out: once there is a segment behind it, it would count as damage.
      fs.truncateSync(path.join(folder, name), found.goodBytes);
    }
    records.push(...found.records);
    const lastSequence = found.records.reduce(
      (last, { record }) => Math.max(last, record.sequence),
      0,
    );
    segments.push({ number, fd: fs.openSync(path.join(folder, name), 'r'), lastSequence });
  }
  return { segments, records };
}

function damage(file: string, atByte: number): Error {
  return new Error(
    `${file} is damaged at byte ${atByte}: sending the rest would leave a gap; ` +
      `move the folder away to give up its unflushed writes`,
  );
}

function readRecords(
  bytes: Buffer,
  segment: number,
): { records: RecoveredReplay['records']; goodBytes: number } {
  const records: RecoveredReplay['records'] = [];
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const payloadLength = bytes.readUInt32BE(at + 20);
    const end = at + HEADER_BYTES + payloadLength;
    if (bytes.readUInt32BE(at) !== MAGIC || end > bytes.length) break;
    if (crc32c(bytes.subarray(at + 8, end)) !== bytes.readUInt32BE(at + 4)) break;
    const record = readRecord(bytes, at);
    if (
      record.operation !== REPLAY_REMOVED &&
      (record.operation === BLOCK_OPERATION.write) !== payloadLength > 0
    )
      break;
    records.push({ record, position: { segment, offsetBytes: at + HEADER_BYTES } });
    at = end;
  }
  return { records, goodBytes: at };
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
