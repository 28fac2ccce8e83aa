/**
 * The door of nbd-server-helpers: everything that others may use is listed here, in the order of the
 * protocol. The README says what is supported.
 */
export {
  NBD_CMD,
  NBD_CMD_FLAG,
  NBD_DEFAULT_SIZES,
  NBD_ERROR,
  NBD_EXTENTS_MAX,
  NBD_FLAG,
  NBD_INFO,
  NBD_OPT,
  NBD_REP,
  NBD_REPLY_FLAG,
  NBD_REPLY_TYPE,
  NBD_STATE,
  NBD_STRING_BYTES_MAX,
} from './constants.js';
export { NbdProtocolError } from './protocol-error.js';

// Handshake.
export type { StartTls } from './conversation.js';
export type { ExportFacts, ListedExport } from './info.js';
export { BASE_ALLOCATION, META_QUERIES_MAX, type MetaContext } from './meta-context.js';
export type { ExportDirectory, NegotiatedSession } from './server-options.js';
export {
  HANDSHAKE_SENT_BYTES_MAX,
  OPTIONS_MAX,
  OPTION_DATA_BYTES_MAX,
  OPTION_SKIPPED_BYTES_MAX,
  ServerHandshake,
  type HandshakeOutcome,
  type HandshakeStep,
  type ServerHandshakeOptions,
  type TlsMode,
} from './server-handshake.js';
export {
  ClientHandshake,
  OPTION_REPLIES_MAX,
  OPTION_REPLY_BYTES_MAX,
  type ClientHandshakeOptions,
  type ClientOutcome,
  type ClientStep,
} from './client-handshake.js';

// Transmission, server side.
export {
  RequestStream,
  SKIPPED_PAYLOAD_BYTES_MAX,
  type RequestStreamOptions,
} from './request-stream.js';
export type { NbdRequest } from './request.js';
export { SIMPLE_REPLY_BYTES, writeSimpleReply } from './simple-reply.js';
export {
  ERROR_TEXT_BYTES_MAX,
  READ_HEADER_BYTES_MAX,
  READ_PART_BYTES_MAX,
  encodeErrorReply,
  writeDoneReply,
  writeReadHeader,
  writeReadPart,
  type ReadPart,
  type ReplyKind,
} from './structured-reply.js';
export { encodeBlockStatusReply, type NbdExtent } from './block-status.js';

// Transmission, client side.
export { encodeRequestHeader, type RequestHeader } from './request.js';
export {
  ReplyStream,
  type NbdReply,
  type ReadRange,
  type ReplyStreamOptions,
} from './reply-stream.js';
