/** The headers of a session's stream, as gRPC over HTTP/2 has them (PROTOCOL-HTTP2.md of gRPC). */
import { status } from './grpc-status.js';
import type { HeaderField } from '../http2/header-field.js';
import { VERSION } from '../runtime/version.js';

export const SESSION_PATH = '/blkferry.storage.v1.Storage/OpenSession';
const CONTENT_TYPE = 'application/grpc';
/** Encoded. A length of ours; gRPC has no limit for it, and HTTP/2's is 16 KiB for all headers. */
const MESSAGE_CHARS_MAX = 3000;

export interface CallEnd {
  readonly code: number;
  readonly details: string;
}

/** @param authority host and port, for whoever looks at it */
export function requestHeaders(authority: string, isTls: boolean): HeaderField[] {
  return [
    [':method', 'POST'],
    [':scheme', isTls ? 'https' : 'http'],
    [':path', SESSION_PATH],
    [':authority', authority],
    ['te', 'trailers'],
    ['content-type', CONTENT_TYPE],
    ['user-agent', `blkferry/${VERSION}`],
  ];
}

/** @returns what a client that asks for something else is answered, or undefined */
export function headersRefusal(fields: readonly HeaderField[]): CallEnd | undefined {
  const headers = new Map(fields);
  const path = headers.get(':path') ?? '';
  if (headers.get(':method') !== 'POST' || path !== SESSION_PATH) {
    const details = `this connection is for ${SESSION_PATH} only, not for ${path}`;
    return { code: status.UNIMPLEMENTED, details };
  }
  if (!isGrpc(headers)) return { code: status.INTERNAL, details: 'the content is not gRPC' };
  const encoding = headers.get('grpc-encoding') ?? 'identity';
  if (encoding === 'identity') return undefined;
  return { code: status.UNIMPLEMENTED, details: `messages in ${encoding} are not taken` };
}

function isGrpc(headers: ReadonlyMap<string, string>): boolean {
  return (headers.get('content-type') ?? '').startsWith(CONTENT_TYPE);
}

export const ANSWER_HEADERS: readonly HeaderField[] = [
  [':status', '200'],
  ['content-type', CONTENT_TYPE],
];

export function endHeaders({ code, details }: CallEnd): HeaderField[] {
  return [
    ['grpc-status', String(code)],
    ...(details === '' ? [] : [['grpc-message', percentEncoded(details)] as const]),
  ];
}

/** What a server's first headers, or its trailers, end the call with; undefined if they do not. */
export function endOf(fields: readonly HeaderField[], isLast: boolean): CallEnd | undefined {
  const headers = new Map(fields);
  const http = headers.get(':status');
  const code = headers.get('grpc-status');
  if (code !== undefined && /^\d{1,3}$/.test(code))
    return { code: Number(code), details: percentDecoded(headers.get('grpc-message') ?? '') };
  if (http !== undefined && http !== '200')
    return { code: status.UNAVAILABLE, details: `Received HTTP status code ${http}` };
  if (http !== undefined && !isGrpc(headers))
    return { code: status.UNAVAILABLE, details: 'the answer is not gRPC' };
  return isLast ? { code: status.UNKNOWN, details: 'the call ended without a status' } : undefined;
}

/** Printable ASCII but % as it is, all else as the bytes of UTF-8; whole characters, as many as there is room for. */
function percentEncoded(text: string): string {
  let encoded = '';
  for (const character of text) {
    const next = /^[ -$&-~]$/.test(character) ? character : escaped(character);
    if (encoded.length + next.length > MESSAGE_CHARS_MAX) break;
    encoded += next;
  }
  return encoded;
}

function escaped(character: string): string {
  const hexadecimal = Buffer.from(character).toString('hex').toUpperCase();
  return hexadecimal.replace(/../g, '%$&');
}

/** What is no valid encoding stays as it came: it is a sentence for people. */
function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
