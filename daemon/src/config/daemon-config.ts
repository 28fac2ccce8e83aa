/**
 * Every setting of blkferryd, and the rules between them. The time limits nest: a call to a node is
 * over before requests are failed, and silence is noticed before that.
 */
import {
  DEFAULT_ADMIN_SOCKET,
  DEFAULT_RUNTIME_DIRECTORY,
  DEFAULT_STATE_DIRECTORY,
} from './default-paths.js';
import { NBD_RULES, NBD_SETTINGS } from './nbd-settings.js';
import { formatDuration } from './quantity.js';
import { readConfig, type ConfigSources, type Rule } from './read-config.js';
import {
  bytes,
  choice,
  duration,
  durationOrNever,
  filePath,
  flag,
  integer,
  nodeAddress,
  portList,
  socketPath,
  optionalFilePath,
  optionalName,
  type Values,
} from './setting.js';
import { TLS_FILE_KEYS, TLS_RULES, TLS_SETTINGS, isProtected, usesTls } from './tls-settings.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export const DAEMON_SETTINGS = {
  node: nodeAddress(
    '127.0.0.1:7600',
    'The storage node of volumes that are attached without naming one. A node in several networks can be given with all its addresses, commas between: the first that answers is used until it fails.',
  ),
  state_directory: filePath(
    DEFAULT_STATE_DIRECTORY,
    'What is attached is kept here, over restarts and reboots.',
  ),
  runtime_directory: filePath(
    DEFAULT_RUNTIME_DIRECTORY,
    'Sockets, and the replay logs: writes that were answered and not flushed yet. On tmpfs they outlive the daemon; a reboot, which ends the guests too, empties it.',
  ),
  'admin.socket': socketPath(
    DEFAULT_ADMIN_SOCKET,
    'The admin API. Whoever may open this socket may attach and detach: it is for its owner alone.',
  ),
  'admin.socket_mode': choice(
    '600',
    ['600', '660'],
    'Mode of admin.socket. 660: a group may use it too, which is every right over every attached volume.',
  ),
  'admin.socket_group': optionalName(
    'The group of admin.socket, for mode 660. Its members must be able to enter the folder: name an admin.socket in one that is theirs, or that the daemon shall make.',
  ),
  'admin.tcp': portList(
    [],
    'Further addresses of the admin API, over TCP. None by default. Always TLS: it needs tls.certificate, and admin.access_file, which says who has which role.',
  ),
  'admin.access_file': optionalFilePath(
    'Roles of those who come over admin.tcp: rules ([[rule]] with clients and role) by the names in certificates. viewer: look; operator: attach and detach; admin: also by force and with take-over. Read again when it changes. blkferry access check tries one.',
  ),
  ...NBD_SETTINGS,
  'device.mode': choice(
    'auto',
    ['auto', 'kernel', 'none'],
    'Whether an attachment gets a block device of this kernel, /dev/blkferry/NAME. auto: where the nbd module is loaded and this process may; kernel: an attachment without one fails; none: NBD clients only.',
  ),
  'device.connections': integer(
    1,
    { min: 1, max: 16 },
    'Sockets between the kernel and the daemon for one device. With more than one the kernel gives up a socket that is slow for 30 s, and asks again on another.',
  ),
  'device.dead_connection_timeout': duration(
    HOUR,
    { min: SECOND, max: 7 * 24 * HOUR },
    'How long the kernel keeps the requests of a device while no daemon runs, before they fail with EIO. Longer than any upgrade, and than somebody needs to start a daemon that does not.',
  ),
  'device.resend_interval': duration(
    2 * SECOND,
    { min: SECOND, max: MINUTE },
    'After a crash of the daemon the kernel asks again for what it had asked already after this much time. While a node is away it writes a line for each waiting request to its log as often.',
  ),
  queue_depth: integer(
    256,
    { min: 1, max: 16_384 },
    'Most requests of one volume in flight; further ones wait in the sockets of its clients. Two kernel queues of 128.',
  ),
  in_flight_bytes_max: bytes(
    64 * MIB,
    { min: MIB, max: 16 * GIB },
    'Most bytes of data of one volume in flight. Together with the longest request of each client, this is what one volume can make the daemon hold in memory.',
  ),
  replay_bytes_max: bytes(
    64 * MIB,
    { min: MIB, max: 16 * GIB },
    'Most bytes of answered but unflushed writes kept for sending again. At half of it the daemon flushes by itself; at all of it writes wait. About half a second of writing at 1 Gbit/s.',
  ),
  replay_requests_max: integer(
    16_384,
    { min: 16, max: 1_000_000 },
    'Most such writes, whatever their length: bounds the time that sending them again takes.',
  ),
  write_cache: choice(
    'off',
    ['off', 'on'],
    'When a write is answered. off: when the node has it; on: when the replay log in the runtime directory has it, which is sooner. With on an error of the node, as when its disk is full, comes too late for the write: the volume then refuses everything until the daemon is restarted, and a guest that migrates may miss its last writes. A flush means the same with both.',
  ),
  busy_poll: integer(
    200,
    { min: 0, max: 1000 },
    'Longest time, in microseconds, for which the daemon looks for the next request of a client that has few at a time, and for answers, instead of sleeping: waking up takes longer than that. It does so only while such waits have been short, for eight requests at most, and for one busy volume. It costs processor time that nobody else wanted in that moment; 0 switches it off.',
  ),
  read_ahead: bytes(
    128 * KIB,
    { min: 0, max: 4 * MIB },
    'Longest piece that is read before it is asked for, when a client of the volume that has the lease reads one small piece behind the other and waits for each. 0 switches it off. What was read so is used for 100 ms at most; with 0, a writer that has just lost its lease reads nothing old.',
  ),
  io_hold_timeout: durationOrNever(
    2 * MINUTE,
    { min: SECOND, max: 24 * HOUR },
    'How long requests wait for a node that is away before they fail with EIO. A guest sees a slow disk until then, and a broken one afterwards. Longer than the reboot of a node.',
  ),
  rpc_timeout: duration(
    10 * SECOND,
    { min: 100, max: 10 * MINUTE },
    'Deadline of every call to a node other than reads and writes.',
  ),
  connect_timeout: duration(
    5 * SECOND,
    { min: 100, max: 10 * MINUTE },
    'A node must have opened a session by then.',
  ),
  probe_interval: duration(
    SECOND,
    { min: 10, max: MINUTE },
    'After this much silence of a node it is asked for a sign of life.',
  ),
  probe_timeout: duration(
    3 * SECOND,
    { min: 100, max: 10 * MINUTE },
    'After this much silence the connection counts as lost and is made anew. TCP alone would notice a silent machine after minutes.',
  ),
  workers: integer(
    1,
    { min: 1, max: 64 },
    'Threads that serve attached volumes; each volume lives in one of them with its clients and its device, in that which has the fewest when it is attached. 1: everything is done by the main thread. With more, a busy volume leaves those of other threads their speed, and one processor core for each and one for all else is the most that can be used. Clients over TLS are served by the main thread, and go through it to their volume. Each costs about 27 MiB while idle and 100 MiB when busy.',
  ),
  shutdown_timeout: duration(
    20 * SECOND,
    { min: 100, max: 10 * MINUTE },
    'How long an ordered stop waits for answers and flushes. What is left is in the replay logs.',
  ),
  checksum: choice(
    'auto',
    ['auto', 'on', 'off'],
    'CRC-32C of everything that daemon and node say to each other in a session. auto: on for nodes on other machines, off on this one, where there is no wire to damage it.',
  ),
  ...TLS_SETTINGS,
  insecure: flag(
    false,
    "Allow plain text beyond this machine. Everybody on the network between can then read and change the guests' disks.",
  ),
  'audit.file': optionalFilePath(
    'Administrative acts (attach, detach, fail-now, retry-now) are appended here, one JSON record each, with who asked and what came of it. None: they are in the ordinary log. A new file is begun when this one was renamed. When it cannot be written, records go to the ordinary log and work goes on.',
  ),
  'log.level': choice(
    'info',
    ['trace', 'debug', 'info', 'warn', 'error'],
    'Least important records that are written, as JSON lines on standard error.',
  ),
} as const;

export type DaemonConfig = Values<typeof DAEMON_SETTINGS>;

/** The time limits that depend on each other. */
type TimeLimit =
  'probe_interval' | 'probe_timeout' | 'connect_timeout' | 'rpc_timeout' | 'io_hold_timeout';

/** Which limit must be below which, and why. */
const NESTING: readonly (readonly [inner: TimeLimit, outer: TimeLimit, reason: string])[] = [
  ['probe_interval', 'probe_timeout', 'a node must be asked before it is given up'],
  [
    'probe_timeout',
    'io_hold_timeout',
    'a silent node must be noticed before requests fail because of it',
  ],
  [
    'connect_timeout',
    'io_hold_timeout',
    'a node must have had one chance to come back before requests fail',
  ],
  ['rpc_timeout', 'io_hold_timeout', 'a call must be over before requests fail because of it'],
];

const TIME_RULES: readonly Rule<DaemonConfig>[] = NESTING.map(([inner, outer, reason]) => ({
  keys: [inner, outer],
  problem: (config) =>
    config[inner] < config[outer]
      ? undefined
      : `${inner} (${formatDuration(config[inner])}) must be shorter than ${outer} (${formatDuration(config[outer])}): ${reason}`,
}));

const PLACE_RULES: readonly Rule<DaemonConfig>[] = [
  {
    keys: ['state_directory', 'runtime_directory'],
    problem: (config) =>
      config.state_directory !== config.runtime_directory
        ? undefined
        : `state_directory and runtime_directory are both ${config.state_directory}; they must differ: one is kept over a reboot, the other is not`,
  },
  {
    keys: ['admin.socket', 'nbd.socket'],
    problem: (config) =>
      config['admin.socket'] !== config['nbd.socket']
        ? undefined
        : `admin.socket and nbd.socket are both ${config['nbd.socket']}; they must differ: two protocols are spoken there`,
  },
];

/** A mode for a group that nobody named would be for the daemon's own, whoever that is. */
const SOCKET_RULE: Rule<DaemonConfig> = {
  keys: ['admin.socket_mode', 'admin.socket_group'],
  problem: (config) =>
    (config['admin.socket_mode'] === '660') === (config['admin.socket_group'] !== '')
      ? undefined
      : 'admin.socket_mode 660 and admin.socket_group belong together: set both or neither',
};

/** Over TCP the admin API is never without certificates: on loopback every user of the machine could come. */
const ADMIN_RULES: readonly Rule<DaemonConfig>[] = [
  {
    keys: ['admin.tcp', 'admin.access_file', ...TLS_FILE_KEYS],
    problem: (config) => {
      const isServed = config['admin.tcp'].length > 0;
      if (isServed && !usesTls(config))
        return `admin.tcp: ${config['admin.tcp'].join(', ')} would be open to everybody; set tls.certificate, tls.key and tls.ca`;
      if (isServed && config['admin.access_file'] === '')
        return 'admin.tcp: nobody has a role there; name a file of rules with admin.access_file';
      if (!isServed && config['admin.access_file'] !== '')
        return 'admin.access_file: its roles are for those who come over admin.tcp, and that is not set';
      return undefined;
    },
  },
];

/** What leaves this machine in plain text must have been asked for. */
const ADDRESS_RULES: readonly Rule<DaemonConfig>[] = [
  {
    keys: ['node', 'insecure', ...TLS_FILE_KEYS],
    problem: (config) =>
      isProtected(config.node, config)
        ? undefined
        : `node: ${config.node} is another machine and the connection is plain text; set tls.certificate, tls.key and tls.ca, or insecure = true if the network between is private`,
  },
];

/** @throws ConfigError with every problem */
export function readDaemonConfig(sources: ConfigSources): DaemonConfig {
  return readConfig(DAEMON_SETTINGS, sources, [
    ...TIME_RULES,
    ...PLACE_RULES,
    ...ADDRESS_RULES,
    ...NBD_RULES,
    ...TLS_RULES,
    ...ADMIN_RULES,
    SOCKET_RULE,
  ]);
}
