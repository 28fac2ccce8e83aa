/**
 * The frames of a session on the wire: batches through their own codec, the few others through
 * protobufjs. These functions are the (de)serializers of Storage.OpenSession.
 */
import { joined } from '../block/block-request.js';
import type { Capabilities } from '../block/device-facts.js';
import { LazyReplyBatch, LazyRequestBatch, type OutgoingMessage } from './batch-encoding.js';
import { SEAL_TAG, readSeal, sealBytes, writeSeal } from './frame-seal.js';
import { decodeMessage, encodeMessage } from './message-codec.js';
import { lookupType } from './proto-root.js';
import { splitBatch } from './piecewise-frame.js';
import { REPLY_LAYOUT, decodeReplyBatch, toReplyBatch } from './reply-decoding.js';
import { REQUEST_LAYOUT, decodeRequestBatch, toRequestBatch } from './request-decoding.js';
import { StorageError } from './storage-error.js';
import type {
  ChecksumKind,
  ClientFrame,
  NodeFrame,
  OpenFrame,
  OpenedFrame,
  VolumeMessage,
} from './storage-messages.js';
import {
  WIRE_TYPE,
  WireReader,
  readFixed64,
  varintBytes,
  writeFixed64,
  writeVarint,
} from './wire-reader.js';

const OPEN = lookupType('blkferry.storage.v1.Open');
const OPENED = lookupType('blkferry.storage.v1.Opened');

/** Fields of both frames: 1 is open or opened, 3 is ping or pong, 4 is the node's only. */
const FIELD = { open: 1, batch: 2, ping: 3, resized: 4 } as const;

export function encodeClientFrame(frame: ClientFrame): OutgoingMessage {
  switch (frame.kind) {
    case 'requests':
      return new LazyRequestBatch(frame);
    case 'open':
      return encodeField(encodeMessage(OPEN, { ...frame }), frame.seal);
    case 'ping':
    case 'pong':
      return encodeNumber(FIELD.ping, frame.number, frame.seal);
  }
}

export function encodeNodeFrame(frame: NodeFrame): OutgoingMessage {
  switch (frame.kind) {
    case 'replies':
      return new LazyReplyBatch(frame);
    case 'opened':
      return encodeField(encodeMessage(OPENED, toOpenedMessage(frame)), frame.seal);
    case 'ping':
    case 'pong':
      return encodeNumber(FIELD.ping, frame.number, frame.seal);
    case 'resized':
      return encodeNumber(FIELD.resized, frame.sizeBytes, frame.seal);
  }
}

/** A frame in pieces. @throws StorageError 'invalid' */
export function decodeClientPieces(pieces: readonly Buffer[]): ClientFrame {
  const found = pieces.length === 1 ? undefined : splitBatch(pieces, REQUEST_LAYOUT);
  if (found === undefined) return decodeClientFrame(joined(pieces));
  const decoded = toRequestBatch(found.batch);
  return found.seal === undefined ? decoded : { ...decoded, seal: found.seal };
}

/** A frame in pieces. @throws StorageError 'invalid' */
export function decodeNodePieces(pieces: readonly Buffer[]): NodeFrame {
  const found = pieces.length === 1 ? undefined : splitBatch(pieces, REPLY_LAYOUT);
  if (found === undefined) return decodeNodeFrame(joined(pieces));
  const decoded = toReplyBatch(found.batch);
  return found.seal === undefined ? decoded : { ...decoded, seal: found.seal };
}

/** @throws StorageError 'invalid' */
export function decodeClientFrame(frame: Buffer): ClientFrame {
  const body = findBody(frame, FIELD.ping);
  const decoded = toClientFrame(body);
  return body.seal === undefined ? decoded : { ...decoded, seal: body.seal };
}

function toClientFrame({ field, bytes, start, end }: Body): ClientFrame {
  switch (field) {
    case FIELD.open:
      return {
        ...(decodeMessage(OPEN, bytes.subarray(start, end)) as Omit<OpenFrame, 'kind'>),
        kind: 'open',
      };
    case FIELD.batch:
      return decodeRequestBatch(bytes, start, end);
    default:
      return { kind: 'ping', number: readFixed64(bytes, start) };
  }
}

/** @throws StorageError 'invalid' */
export function decodeNodeFrame(frame: Buffer): NodeFrame {
  const body = findBody(frame, FIELD.resized);
  const decoded = toNodeFrame(body);
  return body.seal === undefined ? decoded : { ...decoded, seal: body.seal };
}

function toNodeFrame({ field, bytes, start, end }: Body): NodeFrame {
  switch (field) {
    case FIELD.open:
      return toOpenedFrame(decodeMessage(OPENED, bytes.subarray(start, end)) as OpenedMessage);
    case FIELD.batch:
      return decodeReplyBatch(bytes, start, end);
    case FIELD.resized:
      return { kind: 'resized', sizeBytes: readFixed64(bytes, start) };
    default:
      return { kind: 'pong', number: readFixed64(bytes, start) };
  }
}

/** Where the body of a frame is. */
interface Body {
  readonly field: number;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly seal?: number | undefined;
}

/**
 * The one body of a frame. Should there be several, protobuf wants the last of a oneof, and a message
 * that comes in two pieces as one: its pieces end to end.
 *
 * @param lastField the highest field number that this frame has; others are unknown and left out
 */
function findBody(bytes: Buffer, lastField: number): Body {
  const reader = new WireReader(bytes, 0, bytes.length);
  let body: Body | undefined;
  let seal: number | undefined;
  for (let at = 0, tag = reader.tag(); tag !== 0; at = reader.at, tag = reader.tag()) {
    if (seal !== undefined)
      throw new StorageError('invalid', 'a frame goes on behind its checksum');
    const field = tag >>> 3;
    const wireType = tag & 7;
    const isNumber = field >= FIELD.ping && field <= lastField;
    if (isNumber && wireType === WIRE_TYPE.FIXED64) {
      body = { field, bytes, start: reader.at, end: reader.at + 8 };
      reader.skip(wireType);
    } else if ((field === FIELD.open || field === FIELD.batch) && wireType === WIRE_TYPE.BYTES) {
      const lengthBytes = reader.length();
      const piece = { field, bytes, start: reader.at, end: reader.at + lengthBytes };
      body = body?.field === field ? concatenated(body, piece) : piece;
      reader.at += lengthBytes;
    } else {
      reader.skip(wireType);
      if (tag === SEAL_TAG) seal = readSeal(bytes, at, reader.at - 4);
    }
  }
  if (body === undefined) throw new StorageError('invalid', 'a frame without a known body');
  return seal === undefined ? body : { ...body, seal };
}

function concatenated(first: Body, second: Body): Body {
  const pieces = [first, second].map(({ bytes, start, end }) => bytes.subarray(start, end));
  const bytes = Buffer.concat(pieces);
  return { field: second.field, bytes, start: 0, end: bytes.length };
}

function encodeNumber(field: number, number: number, seal: number | undefined): Buffer {
  const bytes = Buffer.alloc(9 + sealBytes(seal));
  bytes[0] = (field << 3) | WIRE_TYPE.FIXED64;
  writeSeal(bytes, 0, writeFixed64(bytes, number, 1), seal);
  return bytes;
}

/** Field 1 of a frame: open or opened. */
function encodeField(message: Buffer, seal: number | undefined): Buffer {
  const headBytes = 1 + varintBytes(message.length);
  const bytes = Buffer.alloc(headBytes + message.length + sealBytes(seal));
  bytes[0] = (FIELD.open << 3) | WIRE_TYPE.BYTES;
  message.copy(bytes, writeVarint(bytes, message.length, 1));
  writeSeal(bytes, 0, headBytes + message.length, seal);
  return bytes;
}

/** Opened as storage.proto has it. */
interface OpenedMessage {
  writeVerifier: bigint;
  volume: VolumeMessage | undefined;
  capabilities: CapabilitiesMessage | undefined;
  checksum: ChecksumKind;
  frameSalt: number;
  requestsInFlightMax: number;
  bytesInFlightMax: number;
}

interface CapabilitiesMessage {
  canWrite: boolean;
  nativeFua: boolean;
  canTrim: boolean;
  canFastZero: boolean;
  canBlockStatus: boolean;
  preferredBytes: number;
  requestBytesMax: number;
}

function toOpenedMessage(frame: OpenedFrame): OpenedMessage {
  const { fua, ...capabilities } = frame.capabilities;
  const { preferredBytes, requestBytesMax } = frame;
  return {
    writeVerifier: frame.writeVerifier,
    volume: frame.volume,
    capabilities: { ...capabilities, nativeFua: fua === 'native', preferredBytes, requestBytesMax },
    checksum: frame.checksum,
    frameSalt: frame.frameSalt,
    requestsInFlightMax: frame.requestsInFlightMax,
    bytesInFlightMax: frame.bytesInFlightMax,
  };
}

function toOpenedFrame(message: OpenedMessage): OpenedFrame {
  const { volume, capabilities, ...rest } = message;
  if (volume === undefined || capabilities === undefined) {
    throw new StorageError('invalid', 'an opened frame without volume or capabilities');
  }
  const { nativeFua, preferredBytes, requestBytesMax, ...known } = capabilities;
  const facts: Capabilities = { ...known, fua: nativeFua ? 'native' : 'emulated' };
  return { kind: 'opened', ...rest, volume, capabilities: facts, preferredBytes, requestBytesMax };
}
