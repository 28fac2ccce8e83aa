/**
 * The numbers of the NBD specification, under the specification's names, grouped by its sections
 * (NetworkBlockDevice/nbd, doc/proto.md; those of extended headers from its branch
 * extension-ext-header). No other file contains one of them as a literal. Missing numbers are not
 * supported. Limits that the specification does not fix stand where they are enforced.
 */

/** Magic numbers. The two 64-bit ones are given as their halves: they are compared, never calculated with. */
export const NBD_MAGIC = {
  /** "NBDMAGIC" */
  INIT_PASSWD_HIGH: 0x4e42444d,
  INIT_PASSWD_LOW: 0x41474943,
  /** "IHAVEOPT": begins the newstyle greeting's second half and every option. */
  OPTION_HIGH: 0x49484156,
  OPTION_LOW: 0x454f5054,
  /** The second half of an oldstyle greeting. */
  OLDSTYLE_HIGH: 0x00004202,
  OLDSTYLE_LOW: 0x81861253,
  OPTION_REPLY_HIGH: 0x0003e889,
  OPTION_REPLY_LOW: 0x045565a9,
  REQUEST: 0x25609513,
  EXTENDED_REQUEST: 0x21e41c71,
  SIMPLE_REPLY: 0x67446698,
  STRUCTURED_REPLY: 0x668e33ef,
  EXTENDED_REPLY: 0x6e8a278c,
} as const;

/** "Handshake flags": server to client, 16 bits. */
export const NBD_HANDSHAKE_FLAG = { FIXED_NEWSTYLE: 1 << 0, NO_ZEROES: 1 << 1 } as const;

/** "Client flags": client to server, 32 bits. */
export const NBD_CLIENT_FLAG = { FIXED_NEWSTYLE: 1 << 0, NO_ZEROES: 1 << 1 } as const;

/** "Transmission flags": what an export can do, 16 bits. */
export const NBD_FLAG = {
  HAS_FLAGS: 1 << 0,
  READ_ONLY: 1 << 1,
  SEND_FLUSH: 1 << 2,
  SEND_FUA: 1 << 3,
  ROTATIONAL: 1 << 4,
  SEND_TRIM: 1 << 5,
  SEND_WRITE_ZEROES: 1 << 6,
  SEND_DF: 1 << 7,
  CAN_MULTI_CONN: 1 << 8,
  SEND_CACHE: 1 << 10,
  SEND_FAST_ZERO: 1 << 11,
} as const;

/** "Option types". */
export const NBD_OPT = {
  EXPORT_NAME: 1,
  ABORT: 2,
  LIST: 3,
  STARTTLS: 5,
  INFO: 6,
  GO: 7,
  STRUCTURED_REPLY: 8,
  LIST_META_CONTEXT: 9,
  SET_META_CONTEXT: 10,
  EXTENDED_HEADERS: 11,
} as const;

/** "Option reply types". Errors have bit 31 set. */
export const NBD_REP = {
  ACK: 1,
  SERVER: 2,
  INFO: 3,
  META_CONTEXT: 4,
  ERR_UNSUP: 0x80000001,
  ERR_POLICY: 0x80000002,
  ERR_INVALID: 0x80000003,
  ERR_PLATFORM: 0x80000004,
  ERR_TLS_REQD: 0x80000005,
  ERR_UNKNOWN: 0x80000006,
  ERR_SHUTDOWN: 0x80000007,
  ERR_BLOCK_SIZE_REQD: 0x80000008,
  ERR_TOO_BIG: 0x80000009,
  ERR_EXT_HEADER_REQD: 0x8000000a,
} as const;

/** From this number on an option reply is an error: bit 31. */
export const NBD_REP_FIRST_ERROR = 0x80000000;

/** Information types of NBD_REP_INFO. */
export const NBD_INFO = { EXPORT: 0, NAME: 1, DESCRIPTION: 2, BLOCK_SIZE: 3 } as const;

/** "Request types". */
export const NBD_CMD = {
  READ: 0,
  WRITE: 1,
  DISC: 2,
  FLUSH: 3,
  TRIM: 4,
  CACHE: 5,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7,
} as const;

/** "Command flags". */
export const NBD_CMD_FLAG = {
  FUA: 1 << 0,
  NO_HOLE: 1 << 1,
  DF: 1 << 2,
  REQ_ONE: 1 << 3,
  FAST_ZERO: 1 << 4,
  PAYLOAD_LEN: 1 << 5,
} as const;

/** "Structured reply flags". */
export const NBD_REPLY_FLAG = { DONE: 1 << 0 } as const;

/** "Structured reply types". Errors have bit 15 set. */
export const NBD_REPLY_TYPE = {
  NONE: 0,
  OFFSET_DATA: 1,
  OFFSET_HOLE: 2,
  BLOCK_STATUS: 5,
  BLOCK_STATUS_EXT: 6,
  ERROR: 0x8001,
  ERROR_OFFSET: 0x8002,
} as const;

/** The bit that all error chunk types have. */
export const NBD_REPLY_TYPE_ERROR_BIT = 0x8000;

/** "Error values". A client treats any other one as EINVAL. */
export const NBD_ERROR = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;

/** Status flags of the metadata context base:allocation. */
export const NBD_STATE = { HOLE: 1 << 0, ZERO: 1 << 1 } as const;

/** Longest string, in bytes of UTF-8: export names, queries, error texts ("MUST be no longer than"). */
export const NBD_STRING_BYTES_MAX = 4096;

/** What holds when a server says nothing about sizes ("Size constraints"). */
export const NBD_DEFAULT_SIZES = {
  minimumBlockBytes: 1,
  preferredBlockBytes: 4096,
  maximumPayloadBytes: 32 * 1024 * 1024,
} as const;

/** The largest minimum block size that may be announced. */
export const NBD_MINIMUM_BLOCK_BYTES_MAX = 65536;

/** Most extents in one block status reply ("Servers SHOULD NOT send more than"). */
export const NBD_EXTENTS_MAX = 2 ** 20;
