/**
 * How a connection says that it is for one session only (storage.proto, "Connections"), so that a node can serve it
 * without grpc-js, and in which lane the session's volume is: under TLS by protocols of its own in ALPN, in plain text by
 * settings in the first frame. Who knows neither takes it for any other gRPC connection, which it is.
 */
import type { Socket } from 'node:net';
import { CONNECTION_PREFACE, FRAME, FRAME_HEADER_BYTES } from '../http2/constants.js';
import type { Clock } from '../runtime/clock.js';
import { offeredProtocols } from './client-hello.js';
import { lookAtFirst } from './first-bytes.js';
import { LANES, laneAmong, laneProtocol } from './session-lane.js';

/** In ALPN, before h2. */
export const SESSION_PROTOCOL = 'blkferry-session/1';

/** Of those that HTTP/2 leaves for experiments (0xf000 to 0xffff). Its value is 1. */
const SESSION_SETTING = 0xfb1f;
/** The same, with the lane. A setting of its own, so that nodes that know no lanes see the mark as ever. */
const LANE_SETTING = 0xfb20;

export const SESSION_MARK: readonly (readonly [number, number])[] = [[SESSION_SETTING, 1]];

/** Longer settings are not ours. */
const SETTINGS_BYTES_MAX = 1024;

/** What a client's first settings say. @param lane undefined: it says none */
export function sessionMark(lane: number | undefined): readonly (readonly [number, number])[] {
  return lane === undefined ? SESSION_MARK : [...SESSION_MARK, [LANE_SETTING, lane]];
}

/** What a client offers in ALPN. */
export function sessionProtocols(lane: number | undefined): string[] {
  return [SESSION_PROTOCOL, ...(lane === undefined ? [] : [laneProtocol(lane)]), 'h2'];
}

interface Mark {
  /** Undefined: the client says none. */
  readonly lane: number | undefined;
}

export interface Sorted {
  /** It has the mark. @param first what came already @param lane undefined: the client says none */
  readonly session: (first: Buffer, lane: number | undefined) => void;
  /** What came already is still in the socket. */
  readonly other: () => void;
}

/** Looks at what a client of a plain socket says first. One of the two is called, unless the socket closes before. */
export function sortConnection(socket: Socket, clock: Clock, { session, other }: Sorted): void {
  const found = ({ lane }: Mark, first: Buffer): void => {
    session(first, lane);
  };
  lookAtFirst(socket, clock, plainMark, found, other);
}

/** The same under TLS, which nobody has begun yet: a session that says its lane, and all others. */
export function sortSecureConnection(
  socket: Socket,
  clock: Clock,
  sorted: {
    readonly session: (first: Buffer, lane: number) => void;
    readonly other: () => void;
  },
): void {
  const found = (lane: number, first: Buffer): void => {
    sorted.session(first, lane);
  };
  lookAtFirst(socket, clock, secureLane, found, sorted.other);
}

function secureLane(seen: Buffer): number | 'other' | undefined {
  const protocols = offeredProtocols(seen);
  if (protocols === undefined) return undefined;
  return protocols.includes(SESSION_PROTOCOL) ? (laneAmong(protocols) ?? 'other') : 'other';
}

function plainMark(seen: Buffer): Mark | 'other' | undefined {
  const compared = Math.min(seen.length, CONNECTION_PREFACE.length);
  if (CONNECTION_PREFACE.compare(seen, 0, compared, 0, compared) !== 0) return 'other';
  const start = CONNECTION_PREFACE.length;
  if (seen.length < start + FRAME_HEADER_BYTES) return undefined;
  const lengthBytes = seen.readUIntBE(start, 3);
  if (seen[start + 3] !== FRAME.SETTINGS || lengthBytes > SETTINGS_BYTES_MAX) return 'other';
  const from = start + FRAME_HEADER_BYTES;
  if (seen.length < from + lengthBytes) return undefined;
  const settings = firstSettings(seen.subarray(from, from + lengthBytes));
  if (settings.get(SESSION_SETTING) !== 1) return 'other';
  const lane = settings.get(LANE_SETTING);
  return { lane: lane === undefined || lane >= LANES ? undefined : lane };
}

/** Of a setting that comes more than once the first counts here. */
function firstSettings(bytes: Buffer): Map<number, number> {
  const settings = new Map<number, number>();
  for (let at = 0; at + 6 <= bytes.length; at += 6) {
    const id = bytes.readUInt16BE(at);
    if (!settings.has(id)) settings.set(id, bytes.readUInt32BE(at + 2));
  }
  return settings;
}
