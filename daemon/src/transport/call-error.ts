/**
 * What gRPC reports, as a sentence that says who did not answer, where, why, and what to look at.
 */
import { status } from '@grpc/grpc-js';
import { NOT_HTTP2 } from '../rpc/session-call.js';
import { kindOfStatus } from '../rpc/status-code.js';
import { StorageError } from '../rpc/storage-error.js';
import { tlsSentenceIn } from '../rpc/tls-channel.js';

/** Compared with numbers that came from outside. */
const DEADLINE_EXCEEDED: number = status.DEADLINE_EXCEEDED;
const UNAVAILABLE: number = status.UNAVAILABLE;

/** Of grpc-js, with what Node's HTTP/2 makes of other first bytes. */
const NOT_HTTP2_IN_GRPC_JS = /^No connection established\. Last error: Protocol error/;
const TOO_LONG = /^Received message larger than max \((\d+) vs\.? (\d+)\)/;

const LOST = 'the connection was lost';
/** What speaks TLS closes a connection of plain text without a word that plain text could be told in. */
const PERHAPS_TLS = 'If it speaks TLS, this program needs tls.certificate, tls.key and tls.ca too';

/** System errors in the words that people search for. */
const REASONS: readonly (readonly [code: RegExp, words: string])[] = [
  [/ECONNREFUSED/, 'connection refused'],
  [/ENOENT/, 'no such socket file'],
  [/EACCES/, 'permission denied on the socket file'],
  [/ENOTFOUND|Name resolution failed/, 'the host name is not known'],
  [/EHOSTUNREACH|ENETUNREACH/, 'no route to the host'],
  [/ETIMEDOUT/, 'the connection timed out'],
  [/ECONNRESET|EPIPE|Connection dropped|Failed to connect|Socket closed/, LOST],
];

/**
 * @param who as in "no node answers at …"
 * @param question what to look at when nobody answers
 */
export function explainCallError(
  error: unknown,
  who: string,
  address: string,
  question: string,
): StorageError {
  if (error instanceof StorageError) return error;
  const { code, details } = error as { code?: unknown; details?: unknown };
  if (typeof code !== 'number') {
    return new StorageError('internal', error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }
  const text = typeof details === 'string' ? details : '';
  const sentence = tlsSentenceIn(text);
  if (sentence !== undefined) return new StorageError('unavailable', sentence, { cause: error });
  if (text === NOT_HTTP2 || NOT_HTTP2_IN_GRPC_JS.test(text)) {
    return new StorageError(
      'unavailable',
      `what answers at ${address} is no blkferry ${who}: it does not speak HTTP/2 (gRPC); is the address right?`,
      { cause: error },
    );
  }
  const [, http] = /^Received HTTP status code (\d+)/.exec(text) ?? [];
  if (http !== undefined) {
    return new StorageError(
      'unavailable',
      `what answers at ${address} is no blkferry ${who}: it says HTTP ${http}; is the address right?`,
      { cause: error },
    );
  }
  const [, sentBytes, mostBytes] = TOO_LONG.exec(text) ?? [];
  if (sentBytes !== undefined && mostBytes !== undefined) {
    return new StorageError(
      'internal',
      `the ${who} at ${address} sent a message of ${sentBytes} bytes, at most ${mostBytes} are taken`,
      { cause: error },
    );
  }
  const reason = REASONS.find(([pattern]) => pattern.test(text))?.[1];
  if (code === DEADLINE_EXCEEDED) {
    return new StorageError(
      'unavailable',
      `the ${who} at ${address} did not answer in time; it may be overloaded, stopped or cut off`,
      { cause: error },
    );
  }
  if (code === UNAVAILABLE && reason !== undefined) {
    const more = reason === LOST && !address.startsWith('unix:') ? ` ${PERHAPS_TLS}` : '';
    return new StorageError(
      'unavailable',
      `no ${who} answers at ${address}: ${reason}; ${question}${more}`,
      { cause: error },
    );
  }
  return new StorageError(kindOfStatus(code), text, { cause: error });
}
