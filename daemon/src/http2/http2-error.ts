/** The error for a broken HTTP/2 connection, and the error codes of RFC 9113, section 7. */

export type Http2ErrorCode =
  | 'NO_ERROR'
  | 'PROTOCOL_ERROR'
  | 'INTERNAL_ERROR'
  | 'FLOW_CONTROL_ERROR'
  | 'SETTINGS_TIMEOUT'
  | 'STREAM_CLOSED'
  | 'FRAME_SIZE_ERROR'
  | 'REFUSED_STREAM'
  | 'CANCEL'
  | 'COMPRESSION_ERROR'
  | 'CONNECT_ERROR'
  | 'ENHANCE_YOUR_CALM'
  | 'INADEQUATE_SECURITY'
  | 'HTTP_1_1_REQUIRED';

/** What stands for them in RST_STREAM and GOAWAY, 32 bits. */
export const HTTP2_ERROR_NUMBER: Readonly<Record<Http2ErrorCode, number>> = {
  NO_ERROR: 0x00,
  PROTOCOL_ERROR: 0x01,
  INTERNAL_ERROR: 0x02,
  FLOW_CONTROL_ERROR: 0x03,
  SETTINGS_TIMEOUT: 0x04,
  STREAM_CLOSED: 0x05,
  FRAME_SIZE_ERROR: 0x06,
  REFUSED_STREAM: 0x07,
  CANCEL: 0x08,
  COMPRESSION_ERROR: 0x09,
  CONNECT_ERROR: 0x0a,
  ENHANCE_YOUR_CALM: 0x0b,
  INADEQUATE_SECURITY: 0x0c,
  HTTP_1_1_REQUIRED: 0x0d,
};

/**
 * The other side broke a rule of HTTP/2, or went beyond a limit. The connection can no longer be trusted: the
 * caller tells the peer `code` in a GOAWAY, closes it, and may log the message, which says what was received.
 */
export class Http2Error extends Error {
  override readonly name = 'Http2Error';

  constructor(
    readonly code: Http2ErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** What is at the other end is something else altogether: it does not begin as HTTP/2 must. */
export class NotHttp2Error extends Http2Error {
  constructor(message: string) {
    super('PROTOCOL_ERROR', message);
  }
}

const NAME_OF_NUMBER: ReadonlyMap<number, string> = new Map(
  Object.entries(HTTP2_ERROR_NUMBER).map(([name, number]) => [number, name]),
);

/** For messages. Peers may send numbers that the RFC does not know: those are shown as what they are. */
export function http2ErrorName(number: number): string {
  return NAME_OF_NUMBER.get(number) ?? `error code 0x${number.toString(16)}`;
}
