/**
 * Segments of the replay log, which hold the only copy of answered writes after a crash. Rules: reading never
 * throws; the records read are whole, inside the file, and written again are the same bytes; and a change of one
 * bit of their headers or ends ends the log at the latest there (tried where the input says).
 */
import { Gatherer } from '#daemon/runtime/gatherer.js';
import {
  HEADER_BYTES,
  pushRecord,
  readRecords,
  recordBytes,
} from '#daemon/volume/replay-record.js';
import type { ReplayRecord } from '#daemon/volume/replay-store.js';
import { require, type FuzzTarget } from '../fuzz-target.js';

const SEGMENT = 1;
const WRITE: ReplayRecord = {
  sequence: 9,
  operation: 2,
  flags: 1,
  offsetBytes: 4096,
  lengthBytes: 512,
};

function toBytes(record: ReplayRecord, payload: Buffer): Buffer {
  const pieces = new Gatherer(4096);
  pushRecord(pieces, record, SEGMENT, payload.length === 0 ? [] : [payload]);
  return Buffer.concat(pieces.take());
}

function seeds(): Buffer[] {
  const write = toBytes(WRITE, Buffer.alloc(512, 7));
  const zeroes = toBytes({ ...WRITE, sequence: 10, operation: 5 }, Buffer.alloc(0));
  const removed = toBytes(
    { ...WRITE, sequence: 9, operation: 255, lengthBytes: 0 },
    Buffer.alloc(0),
  );
  return [Buffer.concat([write, zeroes, removed]), write, zeroes];
}

/** Every header, as far as its lengths lead, gets the digest that fits. */
function repair(input: Buffer): Buffer {
  const bytes = Buffer.from(input);
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const payloadBytes = bytes.readUInt32BE(at + 20);
    const end = at + recordBytes(payloadBytes);
    if (end > bytes.length) break;
    const payload = bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + payloadBytes);
    const operation = bytes.readUInt32BE(at + 16);
    const record = {
      sequence: Number(bytes.readBigUInt64BE(at + 8)),
      operation: operation % 256,
      flags: Math.floor(operation / 256),
      offsetBytes: Number(bytes.readBigUInt64BE(at + 24)),
      lengthBytes: Number(bytes.readBigUInt64BE(at + 32)),
    };
    const isExact = [record.sequence, record.offsetBytes, record.lengthBytes].every((value) =>
      Number.isSafeInteger(value),
    );
    if (isExact) toBytes(record, Buffer.from(payload)).copy(bytes, at);
    at = end;
  }
  return bytes;
}

function execute(input: Buffer): void {
  const { records, goodBytes } = readRecords(input, SEGMENT);
  require(goodBytes <= input.length, `${goodBytes} good bytes of ${input.length}`);
  const again: Buffer[] = [];
  let at = 0;
  for (const { record, position } of records) {
    require(position.offsetBytes === at + HEADER_BYTES, 'records do not lie end to end');
    const { sequence, offsetBytes, lengthBytes, operation } = record;
    for (const number of [sequence, offsetBytes, lengthBytes])
      require(Number.isSafeInteger(number), `a record holds ${number}`);
    const payloadBytes = input.readUInt32BE(at + 20);
    require(operation !== 2 ||
      payloadBytes ===
        lengthBytes, `a write of ${lengthBytes} bytes has ${payloadBytes} bytes of data`);
    const payload = input.subarray(position.offsetBytes, position.offsetBytes + payloadBytes);
    again.push(toBytes(record, payload));
    at += recordBytes(payloadBytes);
  }
  require(Buffer.concat(again).equals(input.subarray(0, goodBytes)), 'written again they differ');
  if (goodBytes > 0) requireDamageSeen(input, goodBytes);
}

function requireDamageSeen(input: Buffer, goodBytes: number): void {
  const place = (input[8] ?? 0) * 257 + (input.at(-1) ?? 0);
  const at = place % goodBytes;
  // What is inside the data of a write is not covered.
  const isCovered = readRecords(input, SEGMENT).records.every(({ position, record }) => {
    const endBytes = position.offsetBytes + (record.operation === 2 ? record.lengthBytes : 0);
    return at < position.offsetBytes || at >= endBytes;
  });
  if (!isCovered) return;
  const damaged = Buffer.from(input);
  damaged[at] = (damaged[at] ?? 0) ^ (1 << (place % 8));
  require(readRecords(damaged, SEGMENT).goodBytes <= at, `damage of byte ${at} is not seen`);
}

export const REPLAY_SEGMENTS: FuzzTarget = {
  name: 'replay-segments',
  bytesMax: 4096,
  seeds,
  repair,
  execute,
};
