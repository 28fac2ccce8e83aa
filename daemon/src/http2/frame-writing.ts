/** Frames as bytes (RFC 9113, section 6), but for DATA, whose header is written where its data goes. */
import { FLAG, FRAME, FRAME_HEADER_BYTES } from './constants.js';
import { HTTP2_ERROR_NUMBER, type Http2ErrorCode } from './http2-error.js';

/** @returns the position behind it */
export function writeFrameHeader(
  target: Buffer,
  at: number,
  lengthBytes: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  target.writeUIntBE(lengthBytes, at, 3);
  target[at + 3] = type;
  target[at + 4] = flags;
  return target.writeUInt32BE(streamId, at + 5);
}

function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  writeFrameHeader(header, 0, payload.length, type, flags, streamId);
  return Buffer.concat([header, payload]);
}

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(6 * settings.length);
  settings.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, 6 * index);
    payload.writeUInt32BE(value, 6 * index + 2);
  });
  return frame(FRAME.SETTINGS, 0, 0, payload);
}

export function settingsAcknowledgement(): Buffer {
  return frame(FRAME.SETTINGS, FLAG.ACK, 0, Buffer.alloc(0));
}

/** @param block at most 16 KiB, which is one frame to everybody */
export function headersFrame(streamId: number, block: Buffer, isLast: boolean): Buffer {
  const flags = FLAG.END_HEADERS | (isLast ? FLAG.END_STREAM : 0);
  return frame(FRAME.HEADERS, flags, streamId, block);
}

export function windowUpdate(streamId: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(FRAME.WINDOW_UPDATE, 0, streamId, payload);
}

/** @param opaque 8 bytes */
export function pingFrame(opaque: Buffer, isAnswer: boolean): Buffer {
  return frame(FRAME.PING, isAnswer ? FLAG.ACK : 0, 0, opaque);
}

export function resetFrame(streamId: number, code: Http2ErrorCode): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(HTTP2_ERROR_NUMBER[code]);
  return frame(FRAME.RST_STREAM, 0, streamId, payload);
}

/** @param lastStreamId the last stream of the peer's that was looked at */
export function goAwayFrame(lastStreamId: number, code: Http2ErrorCode, reason: string): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeUInt32BE(lastStreamId);
  payload.writeUInt32BE(HTTP2_ERROR_NUMBER[code], 4);
  return frame(FRAME.GOAWAY, 0, 0, Buffer.concat([payload, Buffer.from(reason)]));
}
