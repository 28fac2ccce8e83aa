/** A message behind its prefix, as DATA of HTTP/2: whole, or in pieces where it must wait for windows. */
import { FRAME, FRAME_HEADER_BYTES } from '../http2/constants.js';
import { writeFrameHeader } from '../http2/frame-writing.js';
import { STREAM_ID } from '../http2/single-stream.js';
import type { WriteGatherer } from '../runtime/write-gatherer.js';
import { LazyBatch, type OutgoingMessage } from './batch-encoding.js';
import { sealOf } from './frame-seal.js';
import { PREFIX_BYTES } from './message-assembler.js';

/** Bytes of a message with its prefix, which is what flow control counts. */
export function framedBytes(message: OutgoingMessage): number {
  return PREFIX_BYTES + message.length;
}

/** As one DATA frame: its columns are written once, into the gatherer's buffer, and its payload is sent from where it lies. */
export function writeWhole(gatherer: WriteGatherer, message: OutgoingMessage): void {
  const isBatch = message instanceof LazyBatch;
  const headBytes = isBatch ? message.headBytes : message.length;
  const slab = gatherer.reserve(FRAME_HEADER_BYTES + PREFIX_BYTES + headBytes);
  const frameBytes = framedBytes(message);
  let at = writeFrameHeader(slab, gatherer.position, frameBytes, FRAME.DATA, 0, STREAM_ID);
  at = writePrefix(slab, at, message.length);
  const start = at;
  at = isBatch ? message.writeHead(slab, at) : at + message.copy(slab, at);
  gatherer.advance(at);
  if (!isBatch) return;
  for (const piece of message.payload) gatherer.push(piece);
  if (message.seal === undefined) return;
  gatherer.push(sealOf([slab.subarray(start, at), ...message.payload], message.seal));
}

/** Prefix and message, for DATA frames of whatever length the windows allow. */
export function inPieces(message: OutgoingMessage): Buffer[] {
  const prefix = Buffer.allocUnsafe(PREFIX_BYTES);
  writePrefix(prefix, 0, message.length);
  if (!(message instanceof LazyBatch)) return [prefix, message];
  const head = Buffer.allocUnsafe(message.headBytes);
  message.writeHead(head, 0);
  const covered = [head, ...message.payload];
  const seal = message.seal === undefined ? [] : [sealOf(covered, message.seal)];
  return [prefix, ...covered, ...seal];
}

/** @returns the position behind it */
function writePrefix(target: Buffer, at: number, messageBytes: number): number {
  target[at] = 0;
  return target.writeUInt32BE(messageBytes, at + 1);
}
