/**
 * How a connection says that it is for one session only (storage.proto, "Connections"), so that a node can serve it
 * without grpc-js: under TLS by a protocol of its own in ALPN, in plain text by a setting in the first frame. Who knows
 * neither takes it for any other gRPC connection, which it is.
 */
import type { Socket } from 'node:net';
import { CONNECTION_PREFACE, FRAME, FRAME_HEADER_BYTES } from '../http2/constants.js';
import type { Clock } from '../runtime/clock.js';

/** In ALPN, before h2. */
export const SESSION_PROTOCOL = 'blkferry-session/1';

/** Of those that HTTP/2 leaves for experiments (0xf000 to 0xffff). Its value is 1. */
const SESSION_SETTING = 0xfb1f;

export const SESSION_MARK: readonly (readonly [number, number])[] = [[SESSION_SETTING, 1]];

/** Every client begins at once; who does not is somebody for grpc-js to wait for. */
const LOOK_MS = 500;
/** Longer settings are not ours. */
const SETTINGS_BYTES_MAX = 1024;

export interface Sorted {
  /** It has the mark. @param first what came already */
  readonly session: (first: Buffer) => void;
  /** What came already is still in the socket. */
  readonly other: () => void;
}

/** Looks at what a client of a plain socket says first. One of the two is called, unless the socket closes before. */
export function sortConnection(socket: Socket, clock: Clock, sorted: Sorted): void {
  let seen = Buffer.alloc(0);
  const onReadable = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) seen = Buffer.concat([seen, chunk]);
    const isSession = chunk === null ? false : hasMark(seen);
    if (isSession === undefined) return;
    settle();
    if (isSession) sorted.session(seen);
    else giveBack();
  };
  const giveBack = (): void => {
    if (seen.length > 0) socket.unshift(seen);
    sorted.other();
  };
  const cancel = clock.setTimer(LOOK_MS, () => {
    settle();
    giveBack();
  });
  const settle = (): void => {
    cancel();
    socket.removeListener('readable', onReadable);
    socket.removeListener('error', onError);
    socket.removeListener('close', settle);
  };
  // It closes then, and nobody was told of it yet.
  const onError = (): void => undefined;
  socket.on('readable', onReadable);
  socket.on('error', onError);
  socket.on('close', settle);
}

/** @returns undefined while too little is there to tell */
function hasMark(seen: Buffer): boolean | undefined {
  const compared = Math.min(seen.length, CONNECTION_PREFACE.length);
  if (CONNECTION_PREFACE.compare(seen, 0, compared, 0, compared) !== 0) return false;
  const start = CONNECTION_PREFACE.length;
  if (seen.length < start + FRAME_HEADER_BYTES) return undefined;
  const lengthBytes = seen.readUIntBE(start, 3);
  if (seen[start + 3] !== FRAME.SETTINGS || lengthBytes > SETTINGS_BYTES_MAX) return false;
  const from = start + FRAME_HEADER_BYTES;
  if (seen.length < from + lengthBytes) return undefined;
  for (let at = from; at + 6 <= from + lengthBytes; at += 6) {
    if (seen.readUInt16BE(at) === SESSION_SETTING) return seen.readUInt32BE(at + 2) === 1;
  }
  return false;
}
