/** How many sessions a node has, each limit at its number and one above it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TRUSTED_CALLER, type Caller } from '#daemon/storage-node/access-caller.js';
import { SessionPlaces } from '#daemon/storage-node/session-places.js';

function named(...names: string[]): Caller {
  return { names, label: names.join(' '), peer: '10.0.0.1:1' };
}

function from(peer: string): Caller {
  return { names: undefined, label: 'anybody (insecure)', peer };
}

describe('the places of sessions', () => {
  it('are limited in all', () => {
    const places = new SessionPlaces(2, 2);
    places.take(named('a'));
    places.take(named('b'));
    assert.equal(
      places.refusal(named('c'))?.message,
      'this node has 2 sessions, which is its limit (sessions_max)',
    );
    places.give(named('a'));
    assert.equal(places.refusal(named('c')), undefined);
  });

  it('are limited for each certificate, wherever it comes from', () => {
    const places = new SessionPlaces(10, 2);
    places.take(named('a', 'a2'));
    assert.equal(places.refusal(named('a', 'a2')), undefined);
    places.take({ ...named('a', 'a2'), peer: '10.0.0.2:1' });
    const refusal = places.refusal(named('a', 'a2'));
    assert.deepEqual(
      [refusal?.kind, refusal?.message],
      ['exhausted', 'this client has 2 sessions, which is the limit (sessions_per_client_max)'],
    );
    assert.equal(places.refusal(named('b')), undefined);
    places.give(named('a', 'a2'));
    assert.equal(places.refusal(named('a', 'a2')), undefined);
  });

  it('are limited for each machine where nobody shows a certificate', () => {
    const places = new SessionPlaces(10, 1);
    places.take(from('10.0.0.1:4711'));
    assert.match(places.refusal(from('10.0.0.1:4712'))?.message ?? '', /sessions_per_client_max/);
    assert.equal(places.refusal(from('10.0.0.2:4711')), undefined);
    places.take(TRUSTED_CALLER);
    assert.notEqual(places.refusal(TRUSTED_CALLER), undefined);
  });
});
