/** The settings of blkferryd for its NBD clients: where they connect, what they must show, and how much they get. */
import { isLocalAddress } from '../rpc/node-address.js';
import { DEFAULT_NBD_SOCKET } from './default-paths.js';
import type { Rule } from './read-config.js';
import {
  bytes,
  choice,
  duration,
  durationOrNever,
  integer,
  optionalFilePath,
  portList,
  socketPath,
  type Values,
} from './setting.js';
import { TLS_FILE_KEYS, usesTls, type TlsConfig } from './tls-settings.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Less could not hold the longest answer beside those that wait. */
const REPLY_BYTES_MIN = 64 * MIB;

export const NBD_SETTINGS = {
  'nbd.socket': socketPath(
    DEFAULT_NBD_SOCKET,
    'Where NBD clients on this machine connect. Never TLS: it is for its owner alone.',
  ),
  'nbd.tcp': portList(
    [],
    'Further addresses for NBD clients over TCP. None by default. Beyond loopback only with TLS, or together with insecure.',
  ),
  'nbd.tls': choice(
    'auto',
    ['auto', 'required', 'off'],
    'Whether clients at nbd.tcp must use TLS (NBD_OPT_STARTTLS) before anything else. auto: as soon as there are certificates (tls.certificate) or pre-shared keys (nbd.psk_file), also on loopback; required: the same, and no start without them; off: plain text.',
  ),
  'nbd.access_file': optionalFilePath(
    'Rules in a file: which client may open which export, for reading or writing. Needed with TLS: what no rule gives is refused, and the client is told that there is no such export.',
  ),
  'nbd.psk_file': optionalFilePath(
    'Pre-shared keys, for clients without certificates: lines of NAME:KEY as psktool writes them. Asks for TLS 1.3. Refused while every user of the machine may open it.',
  ),
  'nbd.connections_max': integer(
    1024,
    { min: 1, max: 100_000 },
    'Most NBD clients at once on each address; a further one is disconnected. Each costs about 150 KiB.',
  ),
  'nbd.connections_per_peer_max': integer(
    256,
    { min: 1, max: 100_000 },
    'Most NBD clients at once from one machine (one address) over TCP; a further one is disconnected. A machine that goes wrong leaves room for the others.',
  ),
  'nbd.handshakes_max': integer(
    128,
    { min: 1, max: 100_000 },
    'Most NBD clients at each address that have not chosen an export yet. For a further one, that which has been at it longest is disconnected: real clients need milliseconds, so those who only hold connections open keep nobody out.',
  ),
  'nbd.reply_bytes_max': bytes(
    512 * MIB,
    { min: REPLY_BYTES_MIN, max: 64 * GIB },
    'Most bytes that all NBD clients together may be owed: reads under way and replies that they have not taken. Bounds what clients that ask and do not read can make the daemon hold. A single client is owed 32 MiB at most. With several workers each of them, and the main thread for TLS clients, has an equal part of it, and 64 MiB at least.',
  ),
  'nbd.stalled_timeout': duration(
    10 * SECOND,
    { min: 100, max: 10 * MINUTE },
    'When nbd.reply_bytes_max is used up and others wait: who has taken nothing of its replies for this long is disconnected.',
  ),
  'nbd.idle_timeout': durationOrNever(
    Infinity,
    { min: 100, max: 7 * 24 * HOUR },
    'An NBD client of a socket that asks nothing for this long, and waits for nothing, is disconnected. never: a guest that is idle for days is ordinary, and one whose machine is gone is noticed by the kernel within minutes. Devices of this kernel are not concerned.',
  ),
  'nbd.handshake_timeout': duration(
    10 * SECOND,
    { min: 100, max: 10 * MINUTE },
    'A client that has not chosen an export by then is disconnected, whether it is in the handshake of NBD or of TLS. Real clients need milliseconds.',
  ),
} as const;

export type NbdConfig = Values<typeof NBD_SETTINGS> &
  TlsConfig & {
    readonly insecure: boolean;
  };

/** What the clients of one thread may be owed. */
export function replyBytesOf(config: {
  readonly workers: number;
  readonly 'nbd.reply_bytes_max': number;
}): number {
  const { workers, 'nbd.reply_bytes_max': allBytes } = config;
  const threads = workers === 1 ? 1 : workers + 1;
  return Math.max(REPLY_BYTES_MIN, Math.floor(allBytes / threads));
}

/** True if clients over TCP must use TLS. */
export function nbdUsesTls(config: NbdConfig): boolean {
  return config['nbd.tls'] !== 'off' && (usesTls(config) || config['nbd.psk_file'] !== '');
}

const TLS_KEYS = ['nbd.tls', 'nbd.psk_file', ...TLS_FILE_KEYS] as const;

/** Plain text beyond this machine must have been asked for; TLS needs something to do it with, and rules. */
export const NBD_RULES: readonly Rule<NbdConfig>[] = [
  {
    keys: ['nbd.tcp', 'insecure', ...TLS_KEYS],
    problem: (config: NbdConfig): string | undefined => {
      const reachable = config['nbd.tcp'].filter((port) => !isLocalAddress(port));
      return config.insecure || nbdUsesTls(config) || reachable.length === 0
        ? undefined
        : `nbd.tcp: ${reachable.join(', ')} can be reached from other machines and NBD without TLS is plain text; set tls.certificate, tls.key and tls.ca (and not nbd.tls = off), use a loopback address, or set insecure = true`;
    },
  },
  {
    keys: TLS_KEYS,
    problem: (config: NbdConfig): string | undefined =>
      config['nbd.tls'] !== 'required' || nbdUsesTls(config)
        ? undefined
        : 'nbd.tls: required, but there is nothing to do TLS with; set tls.certificate, tls.key and tls.ca, or nbd.psk_file',
  },
  {
    keys: ['nbd.tcp', 'nbd.access_file', ...TLS_KEYS],
    problem: (config: NbdConfig): string | undefined =>
      config['nbd.tcp'].length === 0 || !nbdUsesTls(config) || config['nbd.access_file'] !== ''
        ? undefined
        : 'nbd.access_file: with TLS at nbd.tcp a file must say which client may open which export; clients = ["*"], exports = ["*"], right = "write" in a [[rule]] is for everybody with a certificate of tls.ca',
  },
];
