/**
 * Limits that are no settings, because both ends of a connection, or the data of before, rely on them. They are told
 * with the settings (--print-config), from the numbers that are in force.
 */
import {
  HANDSHAKE_SENT_BYTES_MAX,
  META_QUERIES_MAX,
  OPTIONS_MAX,
  OPTION_DATA_BYTES_MAX,
  OPTION_SKIPPED_BYTES_MAX,
} from 'nbd-server-helpers';
import { REQUEST_BYTES_MAX } from '../block/device-facts.js';
import type { FixedLimit } from '../config/print-config.js';
import { RULES_MAX, RULE_FILE_BYTES_MAX } from '../config/rule-file.js';
import { PARTING_MS } from '../frontend/nbd-session.js';
import { OWED_BYTES_MAX } from '../frontend/reply-budget.js';
import { HEADER_BLOCK_BYTES_MAX } from '../http2/header-block.js';
import { REQUESTS_PER_BATCH_MAX } from '../rpc/batch-columns.js';
import {
  DEFAULT_CALL_LIMITS,
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_TIMEOUT_MS,
  MESSAGE_BYTES_MAX,
} from '../rpc/channel-options.js';
import { HELLO_BYTES_MAX } from '../rpc/client-hello.js';
import { LOOK_MS } from '../rpc/first-bytes.js';
import { CALL_TIMEOUT_MS } from '../rpc/served-session.js';
import { DEFAULT_PLACES } from '../rpc/server-door.js';
import { CONTROL_BYTES_MAX } from '../rpc/session-connection.js';
import { TLS_HANDSHAKE_TIMEOUT_MS } from '../rpc/tls-acceptor.js';
import { CLIENTS_TOLD_APART_MAX, RECORDS_PER_CLIENT_MAX } from '../runtime/log-allowance.js';
import { PEM_BYTES_MAX } from '../security/tls-material.js';
import { STREAM_INDEX_MAX } from '../storage-node/session-admission.js';
import { OPEN_TIMEOUT_MS } from '../storage-node/session-stream.js';
import { UNSENT_BYTES_MAX, UNSENT_FRAMES_MAX } from '../storage-node/unsent-replies.js';
import { TURNS_WAITING_MAX } from '../storage-node/volume-turns.js';

const MIB = 1024 * 1024;

const BOTH: readonly FixedLimit[] = [
  {
    what: 'bytes of one read or write',
    value: mib(REQUEST_BYTES_MAX),
    reason:
      'What the NBD specification asks clients to stay below. A write may be in a replay log, to be sent again: a node that took less than before would lose it.',
  },
  {
    what: 'bytes of one message between daemon and node',
    value: mib(MESSAGE_BYTES_MAX),
    reason:
      'One longest request, and what small ones come with it. More is refused before it is read.',
  },
  {
    what: 'requests of one message',
    value: String(REQUESTS_PER_BATCH_MAX),
    reason: 'The largest queue_depth and session_requests_max.',
  },
  {
    what: 'rules in one file',
    value: `${RULES_MAX}, in ${mib(RULE_FILE_BYTES_MAX)}`,
    reason: 'Every name is held against all of them when a volume is opened.',
  },
  {
    what: 'bytes of a file of certificates or keys',
    value: mib(PEM_BYTES_MAX),
    reason: 'A few hundred authorities. What is longer is another file.',
  },
  {
    what: 'time for a TLS handshake of gRPC, and for an answer to a sign of life',
    value: `${TLS_HANDSHAKE_TIMEOUT_MS / 1000}s, ${KEEPALIVE_TIMEOUT_MS / 1000}s`,
    reason: `Real ones need milliseconds. A connection is asked for a sign of life after ${KEEPALIVE_INTERVAL_MS / 1000}s of silence.`,
  },
  {
    what: 'log records of one client that is refused, in a minute',
    value: `${RECORDS_PER_CLIENT_MAX}, for each of ${CLIENTS_TOLD_APART_MAX} clients and once for all others`,
    reason:
      'Enough to see what it is after. Then one says how many were left out; all are counted.',
  },
];

export const DAEMON_LIMITS: readonly FixedLimit[] = [
  ...BOTH,
  {
    what: 'bytes of one NBD option that are read',
    value: `${OPTION_DATA_BYTES_MAX / 1024}KiB`,
    reason: `An export name and a dozen queries of full length, of which ${META_QUERIES_MAX} may be asked. A longer one is skipped and answered with NBD_REP_ERR_TOO_BIG.`,
  },
  {
    what: 'bytes of one NBD option that are skipped',
    value: mib(OPTION_SKIPPED_BYTES_MAX),
    reason:
      'What the NBD specification does not call an attack. Who announces more is disconnected.',
  },
  {
    what: 'NBD options of one client, and bytes of the answers',
    value: `${OPTIONS_MAX}, ${mib(HANDSHAKE_SENT_BYTES_MAX)}`,
    reason: 'It can list thousands of exports a few times. Then it must choose one.',
  },
  {
    what: 'bytes that one NBD client is owed',
    value: mib(OWED_BYTES_MAX),
    reason: 'One longest read. Beyond it nothing more is read from its socket.',
  },
  {
    what: 'time for a client to go that is served no longer',
    value: `${PARTING_MS / 1000}s`,
    reason: 'It has all its answers by then, and reads that there is nothing more.',
  },
  {
    what: 'connections to the admin API',
    value: places(),
    reason: 'Commands come and go, and monitoring is one or two.',
  },
  {
    what: 'calls at once of one connection to the admin API',
    value: String(DEFAULT_CALL_LIMITS.callsPerConnectionMax),
    reason: 'A program that asks for every attachment at once. Further ones wait.',
  },
  {
    what: 'time without a call of a connection to the admin API',
    value: `${DEFAULT_CALL_LIMITS.idleTimeoutMs / 60_000}min`,
    reason: 'It is then closed; a client that is still there comes back with its next call.',
  },
];

export const NODE_LIMITS: readonly FixedLimit[] = [
  ...BOTH,
  {
    what: "a session's own connection: streams, bytes of headers, time until it says what it wants",
    value: `1, ${HEADER_BLOCK_BYTES_MAX / 1024}KiB, ${CALL_TIMEOUT_MS / 1000}s`,
    reason: 'It is for one session, whose headers have some hundred bytes and come at once.',
  },
  {
    what: 'bytes of what a TLS client says first, in which a lane is looked for (workers above 1)',
    value: `${HELLO_BYTES_MAX / 1024}KiB, ${LOOK_MS}ms`,
    reason:
      'With keys against quantum computers it has some 2 KiB. Who sends more, or later, has no lane.',
  },
  {
    what: "answers to pings and settings that a session's client does not read",
    value: `${CONTROL_BYTES_MAX / 1024}KiB`,
    reason: 'They are a dozen bytes each, and a client that reads has none waiting.',
  },
  {
    what: 'time until a session says for which volume it is',
    value: `${OPEN_TIMEOUT_MS / 1000}s`,
    reason: 'It is the first that a daemon says. Who says nothing has a place of sessions_max.',
  },
  {
    what: 'sessions of one attachment',
    value: String(STREAM_INDEX_MAX + 1),
    reason: 'One for each connection between a daemon and a node; daemons have one or a few.',
  },
  {
    what: 'bytes and messages of replies that wait for one session',
    value: `${mib(UNSENT_BYTES_MAX)}, ${UNSENT_FRAMES_MAX}`,
    reason: 'Two flow-control windows. Beyond it no further request of that session is read.',
  },
  {
    what: 'administrative calls that wait for one volume',
    value: String(TURNS_WAITING_MAX),
    reason:
      'Each takes milliseconds: they pile up only where storage hangs. Further ones are refused.',
  },
];

function mib(count: number): string {
  return `${count / MIB}MiB`;
}

function places(): string {
  const { connectionsMax, connectionsPerPeerMax, handshakesMax } = DEFAULT_PLACES;
  return `${connectionsMax}, of one machine ${connectionsPerPeerMax}, without a certificate ${handshakesMax}`;
}
