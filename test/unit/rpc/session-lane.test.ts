/** The lane of a volume, as other people's clients compute it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { laneAmong, laneOf, laneProtocol } from '#daemon/rpc/session-lane.js';

describe('the lane of a volume', () => {
  it('is the lower half of the CRC-32C of its id', () => {
    // RFC 3720, B.4, and the check value of the catalogue of CRCs.
    assert.equal(laneOf('\0'.repeat(32)), 0x8a9136aa & 0xffff);
    assert.equal(laneOf('123456789'), 0xe3069283 & 0xffff);
  });

  it('is said in ALPN with four digits', () => {
    assert.equal(laneProtocol(0), 'blkferry-lane/0000');
    assert.equal(laneProtocol(0x1a2b), 'blkferry-lane/1a2b');
    assert.equal(laneAmong(['blkferry-session/1', 'blkferry-lane/1a2b', 'h2']), 0x1a2b);
  });

  it('is not said by anything else', () => {
    const others = ['1a2', '01a2b', '1A2B', '1a2g', '', '1a2b ', '0x12', '+123'];
    for (const digits of others) assert.equal(laneAmong([`blkferry-lane/${digits}`]), undefined);
    assert.equal(laneAmong(['blkferry-lan/1a2b', 'h2']), undefined);
    assert.equal(laneAmong([]), undefined);
  });
});
