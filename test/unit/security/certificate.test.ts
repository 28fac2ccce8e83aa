/** The names by which the holder of a certificate is known: a name that hides another gives no right. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dayAndTime, identityNames } from '#daemon/security/certificate.js';

describe('identityNames', () => {
  it('takes DNS and URI names, in their order, and leaves addresses out', () => {
    assert.deepEqual(
      identityNames('DNS:node-a, IP Address:10.0.0.1, URI:blkferry://host/a, email:x@y'),
      ['node-a', 'blkferry://host/a'],
    );
  });
  it('takes a name with separators in it as the one name it is', () => {
    assert.deepEqual(identityNames('URI:"http://a/?b=1, DNS:admin", DNS:guest'), [
      'http://a/?b=1, DNS:admin',
      'guest',
    ]);
  });
  it('takes an address of IPv6, which has colons, for what it is', () => {
    assert.deepEqual(identityNames('IP Address:0:0:0:0:0:0:0:1, DNS:localhost'), ['localhost']);
  });
  it('takes nothing of a text that cannot be read to its end', () => {
    assert.deepEqual(identityNames('DNS:good, "broken'), []);
    assert.deepEqual(identityNames('DNS:good, DNS:"no end'), []);
    assert.deepEqual(identityNames('DNS:"a"b, DNS:good'), []);
    assert.deepEqual(identityNames('DNS:"\\x", DNS:good'), []);
  });
  it('finds no name in a certificate without any', () => {
    assert.deepEqual(identityNames(''), []);
  });
});

describe('dayAndTime', () => {
  it('writes what a calendar shows', () => {
    assert.equal(dayAndTime(Date.UTC(2027, 0, 31, 14, 5)), '2027-01-31 14:05 UTC');
  });
});
