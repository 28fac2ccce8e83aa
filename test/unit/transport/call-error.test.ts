/** What gRPC reports, in the words that people read. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import { explainCallError } from '#daemon/transport/call-error.js';

function explained(code: number, details: string, address = '10.0.0.1:7600'): string {
  const error = Object.assign(new Error(details), { code, details });
  const { kind, message } = explainCallError(error, 'node', address, 'is it running?');
  return `${kind}: ${message}`;
}

describe('a call that failed', () => {
  for (const [code, details, sentence] of [
    [
      status.UNAVAILABLE,
      'No connection established. Last error: connect ECONNREFUSED 10.0.0.1:7600',
      'unavailable: no node answers at 10.0.0.1:7600: connection refused; is it running?',
    ],
    [
      status.DEADLINE_EXCEEDED,
      'Deadline exceeded after 1.000s',
      'unavailable: the node at 10.0.0.1:7600 did not answer in time; it may be overloaded, stopped or cut off',
    ],
    [
      status.UNAVAILABLE,
      'No connection established. Last error: Protocol error (2026-11-30T09:42:40.602Z). Resolution note: ',
      'unavailable: what answers at 10.0.0.1:7600 is no blkferry node: it does not speak HTTP/2 (gRPC); is the address right?',
    ],
    [
      status.UNAVAILABLE,
      'what answers does not speak HTTP/2',
      'unavailable: what answers at 10.0.0.1:7600 is no blkferry node: it does not speak HTTP/2 (gRPC); is the address right?',
    ],
    [
      status.UNIMPLEMENTED,
      'Received HTTP status code 404',
      'unavailable: what answers at 10.0.0.1:7600 is no blkferry node: it says HTTP 404; is the address right?',
    ],
    [status.ABORTED, 'taken over by b', 'fenced: taken over by b'],
  ] as const) {
    it(`is told as "${sentence.slice(0, 70)}..."`, () => {
      assert.equal(explained(code, details), sentence);
    });
  }

  it('asks for TLS only where there can be TLS', () => {
    assert.match(explained(status.UNAVAILABLE, 'Connection dropped'), /tls\.certificate/);
    assert.doesNotMatch(
      explained(status.UNAVAILABLE, 'Connection dropped', 'unix:/x'),
      /tls\.certificate/,
    );
  });
});
