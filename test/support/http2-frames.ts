/** HTTP/2 as bytes (RFC 9113), for peers that do what no library would. Headers are not compressed. */

export const FRAME = { headers: 1, settings: 4, ping: 6, goAway: 7, continuation: 9 } as const;
export const FLAG = { ack: 1, endHeaders: 4 } as const;

export function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

/** What a client says first. */
export const CLIENT_PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame(FRAME.settings, 0, 0, Buffer.alloc(0)),
]);

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
      payload: received.subarray(at + 9, end),
    });
    at = end;
  }
  return frames;
}
