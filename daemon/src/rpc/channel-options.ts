/** gRPC settings of both ends in one place, each with its reason. */
import type { ChannelOptions } from '@grpc/grpc-js';
import { REQUEST_BYTES_MAX } from '../block/device-facts.js';

/**
 * HTTP/2 flow-control window. The default of 64 KiB allows 64 KiB per round trip and was measured at a
 * fifth of the throughput of 8 MiB; more brought nothing.
 */
export const FLOW_CONTROL_WINDOW_BYTES = 8 * 1024 * 1024;

/** A frame holds one longest request at least; columns and small requests come on top. */
export const MESSAGE_BYTES_MAX = REQUEST_BYTES_MAX + 8 * 1024 * 1024;

const COMMON: ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  // Retries keep every sent message in memory; sessions are retried by the volume, which knows more.
  'grpc.enable_retries': 0,
  // Channel statistics cost time on every message and nobody reads them.
  'grpc.enable_channelz': 0,
  // In MB. Node would refuse streams of a connection that has this much waiting, which is an error to
  // the volume; what may wait is bounded by the in-flight limits of the sessions instead.
  'grpc-node.max_session_memory': Number.MAX_SAFE_INTEGER,
};

/** What one connection of a server may have, and for how long it may do nothing. */
export interface CallLimits {
  /** At once; in HTTP/2 each is a stream. */
  readonly callsPerConnectionMax: number;
  /** A connection without a call for this long is closed; Infinity: it is not. */
  readonly idleTimeoutMs: number;
}

/** Where no settings say otherwise, as for the admin API: its clients call and go. */
export const DEFAULT_CALL_LIMITS: CallLimits = {
  callsPerConnectionMax: 256,
  idleTimeoutMs: 300_000,
};

/**
 * A client whose machine vanished must not look connected for long: its lease could not move without
 * `--take-over`. TCP alone would take a quarter of an hour.
 */
export const KEEPALIVE_INTERVAL_MS = 10_000;
export const KEEPALIVE_TIMEOUT_MS = 10_000;

/** grpc-js takes this for "never". */
const NEVER_MS = 0x7fff_ffff;

export function serverOptions(limits: CallLimits = DEFAULT_CALL_LIMITS): ChannelOptions {
  return {
    ...COMMON,
    'grpc.max_concurrent_streams': limits.callsPerConnectionMax,
    'grpc.max_connection_idle_ms': Math.min(limits.idleTimeoutMs, NEVER_MS),
    'grpc.keepalive_time_ms': KEEPALIVE_INTERVAL_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  };
}

// No keepalive on the client's side: calls have deadlines, and sessions have a probe of their own, which
// asks the node's session and not only its HTTP/2 library.

export const CLIENT_OPTIONS: ChannelOptions = {
  ...COMMON,
  'grpc-node.flow_control_window': FLOW_CONTROL_WINDOW_BYTES,
  // A node that was restarted must be found at once: the default backs off up to two minutes.
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  // Those who wait are told (`onceConnected`), so that this is the longest time from its start until it is found.
  'grpc.max_reconnect_backoff_ms': 100,
  // Connections are not shared between clients of the same address behind their backs.
  'grpc.use_local_subchannel_pool': 1,
  // Names and proxies: an address of a node is an address.
  'grpc.enable_http_proxy': 0,
};
