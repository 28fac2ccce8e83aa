/** Every setting of blkferry-node, and the rules between them. */
import { DEFAULT_DATA_DIRECTORY } from './default-paths.js';
import { readConfig, type ConfigSources, type Rule } from './read-config.js';
import {
  address,
  bytes,
  choice,
  duration,
  durationOrNever,
  filePath,
  flag,
  integer,
  optionalFilePath,
  type Values,
} from './setting.js';
import { TLS_FILE_KEYS, TLS_RULES, TLS_SETTINGS, isProtected, usesTls } from './tls-settings.js';

const MIB = 1024 * 1024;
const SECOND = 1000;
const MINUTE = 60 * SECOND;

export const NODE_SETTINGS = {
  listen: address(
    '127.0.0.1:7600',
    'Where daemons connect; port 0 takes a free one. Beyond loopback only with tls.certificate, or together with insecure.',
  ),
  data_directory: filePath(
    DEFAULT_DATA_DIRECTORY,
    'Where the volumes are. One node per directory; only the node may look inside.',
  ),
  lease_timeout: duration(
    MINUTE,
    { min: SECOND, max: 24 * 60 * MINUTE },
    'A writer that was not connected for this long may be replaced by another one without --take-over. Longer than a restart of its daemon.',
  ),
  connections_max: integer(
    5120,
    { min: 1, max: 100_000 },
    'Most connections at once; a further one is closed. A daemon has one for each of its volumes here (sessions_max), and one or a few for all else.',
  ),
  connections_per_peer_max: integer(
    2048,
    { min: 1, max: 100_000 },
    'Most connections at once from one machine (one address) over TCP; a further one is closed. A machine that goes wrong leaves room for the others.',
  ),
  handshakes_max: integer(
    128,
    { min: 1, max: 100_000 },
    'Most connections over TCP that have neither shown a certificate nor, without TLS, made a call. For a further one, that which has been at it longest is closed: who only holds connections open keeps nobody out.',
  ),
  connection_idle_timeout: durationOrNever(
    5 * MINUTE,
    { min: 100, max: 7 * 24 * 60 * MINUTE },
    'A connection without a session or call for this long is closed; a client that is still there comes back with its next call. Attached volumes have a session all the time.',
  ),
  calls_per_connection_max: integer(
    4096,
    { min: 16, max: 100_000 },
    'Most sessions and calls at once of one connection; a client is told so and waits with further ones, and one that does not wait loses the connection. A daemon has one per volume, and a few calls besides.',
  ),
  sessions_per_client_max: integer(
    1024,
    { min: 1, max: 100_000 },
    'Most sessions at once of one client: of one certificate, or without TLS of one machine. A Dom0 with as many disks is not known.',
  ),
  sessions_max: integer(
    4096,
    { min: 1, max: 100_000 },
    'Most sessions at once: one per attached volume. Each costs about 100 KiB and a window of flow control.',
  ),
  session_requests_max: integer(
    1024,
    { min: 1, max: 16_384 },
    'Most unanswered requests of one session. The daemon keeps within it; a client that does not is disconnected.',
  ),
  session_bytes_max: bytes(
    64 * MIB,
    { min: 32 * MIB, max: 4096 * MIB },
    'Most bytes of data in unanswered requests of one session; at least one longest request, 32 MiB.',
  ),
  workers: integer(
    1,
    { min: 1, max: 64 },
    'Threads that serve sessions; the volumes are spread over them by their ids, and each belongs to one. 1: the main thread does everything. With more it only lets clients in and keeps the catalog, so a core for each thread is of use, and a busy volume holds up those of its own thread only. Each costs about 18 MiB.',
  ),
  shutdown_timeout: duration(
    10 * SECOND,
    { min: 100, max: 10 * MINUTE },
    'How long an ordered stop waits for requests in hand.',
  ),
  ...TLS_SETTINGS,
  access_file: optionalFilePath(
    'Which client may do what with which volume: rules ([[rule]] with clients, volumes and rights), by the names in certificates. What none gives is refused. Needed with tls.certificate and a TCP address; read again when it changes. blkferry access check tries one.',
  ),
  insecure: flag(
    false,
    'Allow plain text beyond this machine. Everybody on the network can then read and change every volume.',
  ),
  'audit.file': optionalFilePath(
    'Administrative acts (volumes made, resized and deleted, leases taken over) are appended here, one JSON record each, with who asked and what came of it. None: they are in the ordinary log. A new file is begun when this one was renamed. When it cannot be written, records go to the ordinary log and work goes on.',
  ),
  'log.level': choice(
    'info',
    ['trace', 'debug', 'info', 'warn', 'error'],
    'Least important records that are written, as JSON lines on standard error.',
  ),
} as const;

export type NodeConfig = Values<typeof NODE_SETTINGS>;

const RULES: readonly Rule<NodeConfig>[] = [
  ...TLS_RULES,
  {
    keys: ['listen', 'access_file', ...TLS_FILE_KEYS],
    problem: (config) => {
      const asksForCertificates = usesTls(config) && !config.listen.startsWith('unix:');
      if (asksForCertificates === (config.access_file !== '')) return undefined;
      return asksForCertificates
        ? 'access_file: with tls.certificate the node knows its clients by name, and has no file that says what each may do; write one, and try it with blkferry access check'
        : 'access_file: its rules would count for nobody, as clients show certificates over TCP with tls.certificate, tls.key and tls.ca only; set those, or leave access_file out';
    },
  },
  {
    keys: ['listen', 'insecure', ...TLS_FILE_KEYS],
    problem: (config) =>
      isProtected(config.listen, config)
        ? undefined
        : `listen: ${config.listen} is reachable from other machines and the connection is plain text; use a loopback address, set tls.certificate, tls.key and tls.ca, or set insecure = true if the network is private`,
  },
];

/** @throws ConfigError with every problem */
export function readNodeConfig(sources: ConfigSources): NodeConfig {
  return readConfig(NODE_SETTINGS, sources, RULES);
}
