/**
 * Keeps replay records in files, so that they outlive the daemon. The folder belongs on tmpfs: its
 * pages survive every death of a process, and nothing here calls fsync, because only the loss of the
 * machine's memory could lose them, and the guests with them.
 *
 * On a disk the files outlive the machine's memory, but not as they were: what was written last may be missing, and
 * what a flush had covered long ago may be back. Sent again that would put old blocks over durable new ones, so what
 * is of before a boot is void.
 *
 * A folder per attachment holds `identity.json` (whose records these are, and under which generation
 * they were written) and segments `00000001.log`, `00000002.log`, … of records end to end
 * (replay-record.ts).
 *
 * A segment is given up when everything in it is below a flush; so what remains is a suffix of the
 * volume's history. Its file is written over under the next number, because fresh pages cost three times
 * as much; what then still lies behind the end has another number and is no record. A torn record at the end of the
 * last segment was never answered and is cut off; one anywhere else means damage, and the folder is refused rather
 * than replayed with a gap.
 */
import fs from 'node:fs';
import path from 'node:path';
import { payloadBytes } from '../block/block-request.js';
import { Gatherer } from '../runtime/gatherer.js';
import {
  parseReplayIdentity,
  replayIdentityText,
  type ReplayIdentity,
  type ReplayOwner,
} from './replay-identity.js';
import {
  HEADER_BYTES,
  pushRecord,
  readRecords,
  recordBytes,
  type ReadRecord,
} from './replay-record.js';
import type { ReplayPosition, ReplayRecord, ReplayStore } from './replay-store.js';

/** A new segment from here on: small enough that flushed data is given back soon, large enough to be rare. */
const SEGMENT_BYTES = 8 * 1024 * 1024;
/** Files kept for the next segments. Half of the default replay_bytes_max: a flush comes before there are more. */
const SPARES_MAX = 4;
/** What is written at a time: a frame's worth of small writes. */
const PENDING_BYTES = 320 * 1024;
/** Below this an empty log is truncated; above it the file is worth to be written over. */
const REUSE_BYTES = 256 * 1024;

export interface RecoveredReplay {
  readonly store: ReplayFile;
  readonly records: readonly ReadRecord[];
  readonly identity: ReplayIdentity;
  /** Bytes of records that were written before this machine's last boot, and are removed. */
  readonly voidBytes: number;
}

interface Segment {
  readonly number: number;
  readonly fd: number;
  /** False for what an earlier run left: it is only read. */
  readonly isOurs: boolean;
  lastSequence: number;
}

export class ReplayFile implements ReplayStore {
  readonly #segments: Segment[];
  /** Descriptors of files named spare-0, spare-1, … */
  readonly #spares: number[] = [];
  #current: Segment;
  /** Bytes written to the current segment. */
  #writtenBytes = 0;
  readonly #pending = new Gatherer(PENDING_BYTES);
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
  static open(folder: string, owner: ReplayOwner): RecoveredReplay {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    const found = readIdentity(folder) ?? { ...owner, generation: 0 };
    const identity = { ...found, bootId: owner.bootId };
    if (identity.attachmentId !== owner.attachmentId || identity.volumeId !== owner.volumeId) {
      throw new Error(
        `${folder} holds writes of volume ${identity.volumeId}, attachment ${identity.attachmentId}, ` +
          `not of ${owner.volumeId}, ${owner.attachmentId}; move the folder away to give those writes up`,
      );
    }
    // A dead run's spare files hold nothing.
    for (const name of fs.readdirSync(folder)) {
      if (name.startsWith('spare-')) fs.unlinkSync(path.join(folder, name));
    }
    const voidBytes = found.bootId === owner.bootId ? 0 : removeSegments(folder);
    const { segments, records } = readSegments(folder);
    const store = new ReplayFile(folder, identity, segments);
    store.#writeIdentity();
    return { store, records, identity, voidBytes };
  }

  append(record: ReplayRecord, payload: readonly Buffer[]): ReplayPosition {
    const offsetBytes = this.#writtenBytes + this.#pendingBytes + HEADER_BYTES;
    pushRecord(this.#pending, record, this.#current.number, payload);
    this.#pendingBytes += recordBytes(payloadBytes(payload));
    this.#current.lastSequence = Math.max(this.#current.lastSequence, record.sequence);
    return { segment: this.#current.number, offsetBytes };
  }

  commit(): void {
    if (this.#pendingBytes === 0) return;
    const pieces = this.#pending.take();
    const expectedBytes = this.#pendingBytes;
    this.#pendingBytes = 0;
    const writtenBytes = writeAt(this.#current.fd, pieces, this.#writtenBytes);
    this.#pending.reuse();
    if (writtenBytes !== expectedBytes) {
      // A short write on tmpfs means that it is full.
      throw Object.assign(new Error(`${this.folder}: no space left`), { code: 'ENOSPC' });
    }
    this.#writtenBytes += writtenBytes;
    if (this.#writtenBytes >= SEGMENT_BYTES) this.#rotate();
  }

  read(position: ReplayPosition, fromBytes: number, lengthBytes: number): Buffer {
    const segment = this.#segments.find((one) => one.number === position.segment);
    if (segment === undefined)
      throw new Error(`${this.folder}: segment ${position.segment} is gone`);
    const payload = Buffer.allocUnsafeSlow(lengthBytes);
    const readBytes = fs.readSync(
      segment.fd,
      payload,
      0,
      lengthBytes,
      position.offsetBytes + fromBytes,
    );
    if (readBytes !== lengthBytes)
      throw new Error(`${this.folder}: segment ${position.segment} ends too early`);
    return payload;
  }

  forgetBelow(sequence: number): void {
    if (sequence === Infinity) {
      this.#pending.take();
      this.#pending.reuse();
      this.#pendingBytes = 0;
    }
    while (this.#segments.length > 1 && (this.#segments[0]?.lastSequence ?? Infinity) < sequence) {
      const segment = this.#segments.shift();
      if (segment !== undefined) this.#giveUp(segment);
    }
    if (sequence === Infinity && this.#writtenBytes > 0) this.#beginAgain();
  }

  setGeneration(generation: number): void {
    this.#identity = { ...this.#identity, generation };
    this.#writeIdentity();
  }

  close(options: { remove: boolean }): void {
    for (const { fd } of this.#segments.splice(0)) fs.closeSync(fd);
    while (this.#spares.length > 0) this.#dropSpare();
    if (options.remove) fs.rmSync(this.folder, { recursive: true, force: true });
  }

  #rotate(): void {
    // What lies behind the end of a file that is written over must not look like damage later.
    fs.ftruncateSync(this.#current.fd, this.#writtenBytes);
    this.#current = this.#newSegment(this.#current.number + 1);
    this.#writtenBytes = 0;
  }

  /** Nothing is kept: the current file begins anew. */
  #beginAgain(): void {
    if (this.#writtenBytes < REUSE_BYTES) {
      fs.ftruncateSync(this.#current.fd, 0);
    } else {
      const { number, fd } = this.#current;
      fs.renameSync(segmentPath(this.folder, number), segmentPath(this.folder, number + 1));
      this.#current = { number: number + 1, fd, isOurs: true, lastSequence: 0 };
      this.#segments[this.#segments.length - 1] = this.#current;
    }
    this.#writtenBytes = 0;
  }

  #newSegment(number: number): Segment {
    const file = segmentPath(this.folder, number);
    let fd = this.#spares.pop();
    if (fd === undefined) fd = fs.openSync(file, 'wx+', 0o600);
    else fs.renameSync(this.#sparePath(this.#spares.length), file);
    const segment = { number, fd, isOurs: true, lastSequence: 0 };
    this.#segments.push(segment);
    return segment;
  }

  #giveUp({ number, fd, isOurs }: Segment): void {
    if (isOurs && this.#spares.length < SPARES_MAX) {
      fs.renameSync(segmentPath(this.folder, number), this.#sparePath(this.#spares.length));
      this.#spares.push(fd);
      return;
    }
    fs.closeSync(fd);
    fs.unlinkSync(segmentPath(this.folder, number));
  }

  #dropSpare(): void {
    const fd = this.#spares.pop();
    if (fd === undefined) return;
    fs.closeSync(fd);
    fs.unlinkSync(this.#sparePath(this.#spares.length));
  }

  #sparePath(index: number): string {
    return path.join(this.folder, `spare-${index}`);
  }

  #writeIdentity(): void {
    const file = path.join(this.folder, 'identity.json');
    fs.writeFileSync(`${file}.new`, replayIdentityText(this.#identity), { mode: 0o600 });
    fs.renameSync(`${file}.new`, file);
  }
}

/** @returns how many bytes were written */
function writeAt(fd: number, pieces: readonly Buffer[], offsetBytes: number): number {
  const [only] = pieces;
  return only !== undefined && pieces.length === 1
    ? fs.writeSync(fd, only, 0, only.length, offsetBytes)
    : fs.writevSync(fd, pieces, offsetBytes);
}

function segmentPath(folder: string, number: number): string {
  return path.join(folder, `${String(number).padStart(8, '0')}.log`);
}

function readIdentity(folder: string): ReplayIdentity | undefined {
  const file = path.join(folder, 'identity.json');
  return fs.existsSync(file) ? parseReplayIdentity(file, fs.readFileSync(file, 'utf8')) : undefined;
}

/** @returns how many bytes they had */
function removeSegments(folder: string): number {
  let bytes = 0;
  for (const file of segmentFiles(folder)) {
    bytes += fs.statSync(file).size;
    fs.unlinkSync(file);
  }
  return bytes;
}

/** In order. */
function segmentFiles(folder: string): string[] {
  const names = fs.readdirSync(folder).filter((name) => /^\d{8}\.log$/.test(name));
  return names.sort().map((name) => path.join(folder, name));
}

function readSegments(folder: string): Pick<RecoveredReplay, 'records'> & { segments: Segment[] } {
  const files = segmentFiles(folder);
  const segments: Segment[] = [];
  const records: ReadRecord[] = [];
  for (const [index, file] of files.entries()) {
    const number = Number.parseInt(path.basename(file), 10);
    const bytes = fs.readFileSync(file);
    const found = readRecords(bytes, number);
    if (found.goodBytes < bytes.length) {
      if (index < files.length - 1) throw damage(file, found.goodBytes);
      // Cut off, not only left out: once there is a segment behind it, it would count as damage.
      fs.truncateSync(file, found.goodBytes);
    }
    records.push(...found.records);
    const lastSequence = found.records.reduce(
      (last, { record }) => Math.max(last, record.sequence),
      0,
    );
    const fd = fs.openSync(file, 'r');
    segments.push({ number, fd, isOurs: false, lastSequence });
  }
  return { segments, records };
}

function damage(file: string, atByte: number): Error {
  return new Error(
    `${file} is damaged at byte ${atByte}: sending the rest would leave a gap; ` +
      `move the folder away to give up its unflushed writes`,
  );
}
