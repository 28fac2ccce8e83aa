/**
 * The frames of a storage session, both directions. Rules: only StorageError 'invalid'; what is accepted means
 * what protobufjs reads in the same bytes; what protobufjs can read is refused for a reason of the protocol
 * only; and a frame that is written again is read as the same frame.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { BlockError } from '#daemon/block/block-error.js';
import {
  BLOCK_OPERATION,
  DONE,
  failed,
  flushRequest,
  payloadBytes,
  rangeRequest,
  readRequest,
  writeRequest,
} from '#daemon/block/block-request.js';
import { isZeroPiece, zeroPiece } from '#daemon/block/zeroes.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import {
  decodeClientFrame,
  decodeNodeFrame,
  encodeClientFrame,
  encodeNodeFrame,
} from '#daemon/rpc/storage-frame.js';
import type {
  ClientFrame,
  NodeFrame,
  OpenedFrame,
  ReplyBatchFrame,
  RequestBatchFrame,
} from '#daemon/rpc/storage-messages.js';
import { CLIENT, NODE, bytesOf, requestFrame } from '#test/support/frame-bytes.js';
import { outcomeOf, require, type FuzzTarget } from '../fuzz-target.js';
import { isPlainFrame, withFittingChecksum } from './frame-fields.js';

const BYTES_MAX = 4096;

/** Why a frame may be refused that a protobuf library can read. */
const REASONS_OF_THE_PROTOCOL = [
  /^a frame without a known body$/,
  /^a frame goes on behind its checksum$/,
  /^a frame holds \S+, beyond 2\^53 - 1$/,
  // The encoding has none; protobufjs skips longer ones in fields that it does not know.
  /^a frame holds a number of more than ten bytes$/,
  /^a batch holds \d+ entries, more than \d+$/,
  /^the columns of a (request|reply) batch differ in length$/,
  /^a request batch holds operation 0x[0-9a-f]+, which is unknown$/,
  /^the (writes|reads) of a (request|reply) batch are longer than its payload$/,
  /^the payload of a (request|reply) batch is longer than its (writes|reads)$/,
  /^a reply batch holds an error with a payload$/,
  /^the extents of a reply batch do not fit its replies$/,
  /^a reply batch holds extents whose lengths and states differ in number$/,
  /^a reply batch holds a read whose extents do not fit it$/,
  /^the reads of a reply batch have more than \d+ extents$/,
  /^a reply batch holds an extent of -?\d+ bytes in state -?\d+$/,
  /^an opened frame without volume or capabilities$/,
  /^Checksum has no value -?\d+$/,
  /is \S+, (beyond|above|more than)/,
];

/** A number of 64 bits, as protobufjs gives it. */
interface Wide {
  toString(): string;
}

/** A frame as protobufjs gives it. */
interface PlainFrame {
  readonly requests?: Columns | null;
  readonly replies?: Columns | null;
  readonly ping?: Wide | null;
  readonly pong?: Wide | null;
  readonly resized?: Wide | null;
}

interface Columns {
  readonly sequence: readonly Wide[];
  readonly operation: readonly number[];
  readonly offset: readonly Wide[];
  readonly length: readonly Wide[];
  readonly error: readonly number[];
  readonly payloadLength: readonly number[];
  readonly writeVerifier: Wide;
  readonly readExtents: readonly {
    readonly index: number;
    readonly length: readonly Wide[];
    readonly state: readonly number[];
  }[];
  readonly payload: Uint8Array;
}

type FrameType = typeof CLIENT;

function executeFrame<Frame extends ClientFrame | NodeFrame>(
  input: Buffer,
  type: FrameType,
  decode: (bytes: Buffer) => Frame,
  encode: (frame: Frame) => Parameters<typeof bytesOf>[0],
): void {
  const frame = outcomeOf(() => decode(input), StorageError);
  const plain = isPlainFrame(input) ? outcomeOf(() => type.decode(input), Error) : undefined;
  if (frame instanceof StorageError) {
    require(frame.kind === 'invalid', `refused as ${frame.kind}: ${frame.message}`);
    const isReason = REASONS_OF_THE_PROTOCOL.some((reason) => reason.test(frame.message));
    const isReadable = plain !== undefined && !(plain instanceof Error);
    require(!isReadable || isReason, `protobufjs reads what is refused: ${frame.message}`);
    return;
  }
  if (plain instanceof Error) throw plain;
  if (plain !== undefined) compare(frame, plain as unknown as PlainFrame);
  const again = decode(bytesOf(encode(asSent(frame))));
  deepStrictEqual(withoutZeroes(again), withoutZeroes(frame));
}

/** Holes are left out again: few bytes may tell of gigabytes. */
function asSent<Frame extends ClientFrame | NodeFrame>(frame: Frame): Frame {
  return frame.kind === 'replies' ? { ...frame, leavesHolesOut: true } : frame;
}

/** The same with the lengths of holes in their places. */
function withoutZeroes(frame: ClientFrame | NodeFrame): unknown {
  if (frame.kind !== 'replies') return frame;
  const results = frame.results.map(({ payload, ...result }) => ({
    ...result,
    payload: payload.map((piece) => (isZeroPiece(piece) ? piece.length : piece)),
  }));
  return { ...frame, results };
}

/** What both sides read must be the same. */
function compare(frame: ClientFrame | NodeFrame, plain: PlainFrame): void {
  switch (frame.kind) {
    case 'requests':
      deepStrictEqual(requestColumns(frame), plainRequests(plain.requests));
      return;
    case 'replies':
      deepStrictEqual(replyColumns(frame), plainReplies(plain.replies));
      return;
    case 'ping':
    case 'pong':
      deepStrictEqual(String(frame.number), (plain.ping ?? plain.pong)?.toString());
      return;
    case 'resized':
      deepStrictEqual(String(frame.sizeBytes), plain.resized?.toString());
      return;
    case 'open':
    case 'opened':
      // Read by protobufjs anyway.
      return;
  }
}

function requestColumns({ sequences, requests }: RequestBatchFrame): unknown {
  return {
    sequence: sequences.map(String),
    operation: requests.map(({ kind, flags }) => BLOCK_OPERATION[kind] + flags * 256),
    offset: requests.map(({ offsetBytes }) => String(offsetBytes)),
    length: requests.map(({ lengthBytes }) => String(lengthBytes)),
    payload: Buffer.concat(requests.flatMap(({ payload }) => payload)),
  };
}

function plainRequests(columns: Columns | null | undefined): unknown {
  if (!columns) return undefined;
  const { sequence, operation, offset, length, payload } = columns;
  return {
    sequence: sequence.map(String),
    operation: [...operation],
    offset: offset.map(String),
    length: length.map(String),
    payload: Buffer.from(payload),
  };
}

function replyColumns({ sequences, results, writeVerifier }: ReplyBatchFrame): unknown {
  const sent = results.map(({ payload }) => payload.filter((piece) => !isZeroPiece(piece)));
  const holes = results.map(({ payload }) => payloadBytes(payload.filter(isZeroPiece)));
  return {
    sequence: sequences.map(String),
    hasFailed: results.map(({ error }) => error !== undefined),
    payloadLength: sent.map(payloadBytes),
    writeVerifier: String(writeVerifier),
    holeBytes: holes,
    payload: Buffer.concat(sent.flat()),
  };
}

function plainReplies(columns: Columns | null | undefined): unknown {
  if (!columns) return undefined;
  const { sequence, error, payloadLength, writeVerifier, readExtents, payload } = columns;
  const holeBytes = sequence.map(() => 0);
  for (const { index, length, state } of readExtents)
    for (const [at, bytes] of length.entries())
      if (((state[at] ?? 0) & 2) !== 0) holeBytes[index] = (holeBytes[index] ?? 0) + Number(bytes);
  return {
    sequence: sequence.map(String),
    hasFailed: error.map((number) => number !== 0),
    payloadLength: [...payloadLength],
    writeVerifier: writeVerifier.toString(),
    holeBytes,
    payload: Buffer.from(payload),
  };
}

function requestSeeds(): Buffer[] {
  const requests = [
    writeRequest(4096, Buffer.alloc(512, 0xa5), 1),
    readRequest(0, 4096),
    flushRequest(),
    rangeRequest('write-zeroes', 8192, 4096, 6),
    rangeRequest('trim', 0, 512),
    rangeRequest('block-status', 0, 65536, 8),
    rangeRequest('cache', 0, 512),
  ];
  const open: ClientFrame = {
    kind: 'open',
    volumeId: 'id-v1',
    attachmentId: 'a',
    generation: 7,
    streamIndex: 1,
    checksum: 'crc32c',
    takesHoles: true,
  };
  const frames: ClientFrame[] = [
    requestFrame(requests),
    requestFrame(requests.slice(0, 2), 77),
    open,
    { ...open, seal: 0 },
    { kind: 'ping', number: 5 },
  ];
  return frames.map((frame) => bytesOf(encodeClientFrame(frame)));
}

export const REQUEST_FRAMES: FuzzTarget = {
  name: 'request-frames',
  bytesMax: BYTES_MAX,
  seeds: requestSeeds,
  repair: withFittingChecksum,
  execute: (input) => {
    executeFrame(input, CLIENT, decodeClientFrame, encodeClientFrame);
  },
};

const OPENED: OpenedFrame = {
  kind: 'opened',
  writeVerifier: 99n,
  volume: {
    volumeId: 'id-v1',
    name: 'v1',
    sizeBytes: 65536,
    blockBytes: 512,
    backend: 'file',
    allocatedBytes: 0,
    createdUnixMs: 1,
    generation: 7,
    holder: { attachmentId: 'a', description: 'd', sinceUnixMs: 1, connected: true },
    sessionCount: 1,
  },
  capabilities: {
    canWrite: true,
    fua: 'native',
    canTrim: true,
    canFastZero: false,
    canBlockStatus: true,
  },
  preferredBytes: 4096,
  requestBytesMax: 65536,
  checksum: 'crc32c',
  frameSalt: 12345,
  requestsInFlightMax: 100,
  bytesInFlightMax: 1 << 20,
};

function replySeeds(): Buffer[] {
  const read = { ...DONE, payload: [Buffer.alloc(512, 3)] };
  const extents = [
    { lengthBytes: 512, hole: true, zero: true },
    { lengthBytes: 4096, hole: false, zero: false },
  ];
  const results = [read, DONE, failed(new BlockError('ENOSPC', 'full')), { ...DONE, extents }];
  const replies: NodeFrame = {
    kind: 'replies',
    sequences: [1, 2, 3, 4],
    results,
    writeVerifier: 7n,
  };
  const sparse = { ...DONE, payload: [zeroPiece(512), Buffer.alloc(8, 3), zeroPiece(4096)] };
  const frames: NodeFrame[] = [
    replies,
    { ...replies, seal: 5 },
    { ...replies, results: [read, sparse, DONE, sparse], leavesHolesOut: true },
    OPENED,
    { kind: 'pong', number: 5 },
    { kind: 'resized', sizeBytes: 65536 },
  ];
  return frames.map((frame) => bytesOf(encodeNodeFrame(frame)));
}

export const REPLY_FRAMES: FuzzTarget = {
  name: 'reply-frames',
  bytesMax: BYTES_MAX,
  seeds: replySeeds,
  repair: withFittingChecksum,
  execute: (input) => {
    executeFrame(input, NODE, decodeNodeFrame, encodeNodeFrame);
  },
};
