/** The numbers of RFC 9113, under its names. */

/** Section 3.4: what a client sends first. */
export const CONNECTION_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Section 4.1. */
export const FRAME_HEADER_BYTES = 9;

/** Section 6. */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** Section 6; which frames have them is said there. */
export const FLAG = {
  END_STREAM: 0x01,
  ACK: 0x01,
  END_HEADERS: 0x04,
  PADDED: 0x08,
  PRIORITY: 0x20,
} as const;

/** Section 6.5.2. */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

/** Section 6.9.2: of a stream before settings say otherwise, and of a connection before WINDOW_UPDATE does. */
export const DEFAULT_WINDOW_BYTES = 65_535;
/** Section 6.9.1. */
export const WINDOW_BYTES_MAX = 2 ** 31 - 1;
/** Section 6.5.2: the longest frame before settings say otherwise, and the longest that they can say. */
export const DEFAULT_FRAME_BYTES_MAX = 16_384;
export const FRAME_BYTES_LIMIT = 2 ** 24 - 1;
