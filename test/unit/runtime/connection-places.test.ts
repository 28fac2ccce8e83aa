/** How many clients have a place, each limit at its number and one above it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConnectionPlaces, type PlaceHolder } from '#daemon/runtime/connection-places.js';

class Client implements PlaceHolder {
  told = '';

  giveWay(reason: string): void {
    this.told = reason;
  }
}

function places(limits: object = {}): ConnectionPlaces<Client> {
  const many = { connectionsMax: 100, connectionsPerPeerMax: 100, handshakesMax: 100 };
  const words = { firstAct: 'chosen an export', settingsPrefix: 'nbd.' };
  return new ConnectionPlaces({ ...many, ...limits }, words);
}

function come(at: ConnectionPlaces<Client>, from: string | null = '10.0.0.1'): Client {
  const peer = from ?? undefined;
  assert.equal(at.refusal(peer), undefined);
  const client = new Client();
  at.take(client, peer);
  return client;
}

describe('the places of clients', () => {
  it('are limited in all', () => {
    const at = places({ connectionsMax: 2 });
    const first = come(at);
    come(at, '10.0.0.2');
    assert.equal(at.refusal('10.0.0.3'), 'refused: 2 clients are connected (nbd.connections_max)');
    at.give(first);
    assert.equal(at.refusal('10.0.0.3'), undefined);
  });

  it('are limited for each machine, and this one on unix sockets is none', () => {
    const at = places({ connectionsPerPeerMax: 2 });
    const first = come(at);
    come(at);
    assert.match(
      at.refusal('10.0.0.1') ?? '',
      /^refused: 2 clients of this machine .*\(nbd\.connections_per_peer_max\)$/,
    );
    come(at, '10.0.0.2');
    for (let more = 0; more < 5; more += 1) come(at, null);
    at.give(first);
    at.give(first);
    come(at);
    assert.notEqual(at.refusal('10.0.0.1'), undefined);
    assert.equal(at.count, 8);
  });

  it('go from the oldest that has not chosen an export to a new one', () => {
    const at = places({ handshakesMax: 2 });
    const chosen = come(at);
    at.identified(chosen);
    const [second, third] = [come(at), come(at)];
    assert.equal(second.told, '');
    const fourth = come(at);
    assert.match(
      second.told,
      /^it had not chosen an export when 2 others came .*nbd\.handshakes_max/,
    );
    at.give(second);
    assert.deepEqual([chosen.told, third.told, fourth.told], ['', '', '']);
    at.give(third);
    come(at);
    assert.equal(fourth.told, '');
  });
});
