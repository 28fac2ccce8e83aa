/**
 * The lane of a session (storage.proto, "Connections"): a number that follows from the volume's id, and is said before
 * anything else of the session. A node with several cores gives the connection to the one that has the volume, which it
 * could not do later: TLS and HTTP/2 keep what they know of a connection to themselves.
 */
import { crc32c } from '@node-rs/crc32';

/** Lanes are below this: more than any machine has cores, and a hash that tells nobody the volume's id. */
export const LANES = 0x10000;

/** Before the lane in four hexadecimal digits. Offered in ALPN behind the session's own protocol, and never chosen. */
const LANE_PROTOCOL = 'blkferry-lane/';

export function laneOf(volumeId: string): number {
  return crc32c(volumeId) % LANES;
}

export function laneProtocol(lane: number): string {
  return LANE_PROTOCOL + lane.toString(16).padStart(4, '0');
}

/** @returns the first lane that is named, undefined without one */
export function laneAmong(protocols: readonly string[]): number | undefined {
  for (const protocol of protocols) {
    if (!protocol.startsWith(LANE_PROTOCOL)) continue;
    const digits = protocol.slice(LANE_PROTOCOL.length);
    return /^[0-9a-f]{4}$/.test(digits) ? Number.parseInt(digits, 16) : undefined;
  }
  return undefined;
}
