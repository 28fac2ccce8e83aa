/** HTTP/2 as bytes (RFC 9113), for peers that do what no library would. Headers are not compressed. */

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const FLAG = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

export function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

/** The 24 bytes with which a client begins. */
export const MAGIC = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** What a client says first. */
export const CLIENT_PREFACE = Buffer.concat([MAGIC, frame(FRAME.settings, 0, 0, Buffer.alloc(0))]);

export function u32(value: number): Buffer {
  return Buffer.from(value.toString(16).padStart(8, '0'), 'hex');
}

/** Each setting as its number and its value. */
export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = pairs.flatMap(([id, value]) => [u32(id).subarray(2), u32(value)]);
  return frame(FRAME.settings, 0, 0, Buffer.concat(payload));
}

export const SETTINGS_ACK = frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(0));

export function windowUpdate(streamId: number, bytes: number): Buffer {
  return frame(FRAME.windowUpdate, 0, streamId, u32(bytes));
}

export function ping(opaque: string, flags = 0): Buffer {
  return frame(FRAME.ping, flags, 0, Buffer.from(opaque));
}

export function goAway(lastStreamId: number, code: number, reason = ''): Buffer {
  const payload = [u32(lastStreamId), u32(code), Buffer.from(reason)];
  return frame(FRAME.goAway, 0, 0, Buffer.concat(payload));
}

export function reset(code: number, streamId = 1): Buffer {
  return frame(FRAME.reset, 0, streamId, u32(code));
}

/** DATA of stream 1. */
export function data(payload: Buffer | string, flags = 0): Buffer {
  return frame(FRAME.data, flags, 1, Buffer.from(payload));
}

/** The same with padding. */
export function paddedData(payload: string, paddingBytes: number, flags = 0): Buffer {
  const padded = [Buffer.from([paddingBytes]), Buffer.from(payload), Buffer.alloc(paddingBytes)];
  return frame(FRAME.data, flags | FLAG.padded, 1, Buffer.concat(padded));
}

/** HEADERS of stream 1, whole. */
export function headers(fields: Readonly<Record<string, string>>, flags = 0): Buffer {
  const block = Object.entries(fields).map(([name, value]) => headerField(name, value));
  return frame(FRAME.headers, FLAG.endHeaders | flags, 1, Buffer.concat(block));
}

/** A message of gRPC. */
export function grpcMessage(content: Buffer | string, flag = 0): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([flag]), u32(bytes.length), bytes]);
}

/** A header field of HPACK (RFC 7541, 6.2.2), both strings shorter than 127 bytes. */
export function headerField(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}

/** The headers with which a gRPC call begins. */
export function callHeaders(path: string): Buffer {
  return Buffer.concat([
    headerField(':method', 'POST'),
    headerField(':scheme', 'http'),
    headerField(':path', path),
    headerField(':authority', 'localhost'),
    headerField('content-type', 'application/grpc'),
    headerField('te', 'trailers'),
  ]);
}

export interface ReceivedFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** @returns the whole frames in what was received */
export function framesOf(received: Buffer): ReceivedFrame[] {
  const frames: ReceivedFrame[] = [];
  for (let at = 0; at + 9 <= received.length;) {
    const end = at + 9 + received.readUIntBE(at, 3);
    if (end > received.length) break;
    frames.push({
      type: received.readUInt8(at + 3),
      flags: received.readUInt8(at + 4),
      streamId: received.readUInt32BE(at + 5),
      payload: received.subarray(at + 9, end),
    });
    at = end;
  }
  return frames;
}
