/** Everything that is fuzzed, by name. */
import type { FuzzTarget } from '../fuzz-target.js';
import { CLIENT_HELLO } from './client-hello.js';
import { HEADER_BLOCKS } from './header-blocks.js';
import { HTTP2_CLIENT, HTTP2_SERVER } from './http2-streams.js';
import { ATTACHMENT_FILE, REPLAY_IDENTITY, VOLUME_RECORDS } from './kept-records.js';
import { NBD_CLIENT_HANDSHAKE, NBD_SERVER_HANDSHAKE } from './nbd-handshakes.js';
import { NBD_REPLIES, NBD_REQUESTS } from './nbd-streams.js';
import { PIECEWISE_FRAMES } from './piecewise-frames.js';
import { REPLAY_SEGMENTS } from './replay-segments.js';
import { CONFIGURATION, RULE_FILES } from './settings-files.js';
import { REPLY_FRAMES, REQUEST_FRAMES } from './storage-frames.js';
import { UNARY_MESSAGES } from './unary-messages.js';

export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  NBD_SERVER_HANDSHAKE,
  NBD_CLIENT_HANDSHAKE,
  NBD_REQUESTS,
  NBD_REPLIES,
  REQUEST_FRAMES,
  REPLY_FRAMES,
  PIECEWISE_FRAMES,
  UNARY_MESSAGES,
  HEADER_BLOCKS,
  CLIENT_HELLO,
  HTTP2_SERVER,
  HTTP2_CLIENT,
  REPLAY_SEGMENTS,
  REPLAY_IDENTITY,
  VOLUME_RECORDS,
  ATTACHMENT_FILE,
  CONFIGURATION,
  RULE_FILES,
];
