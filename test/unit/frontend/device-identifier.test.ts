/** Whose a kernel device is, as text and back. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatIdentifier, parseIdentifier } from '#daemon/frontend/device-identifier.js';

const IDENTITY = { daemonId: 'd-1', attachmentId: 'a-2', exportName: 'vm1.disk_0' };

describe('the identifier of a device', () => {
  it('names daemon, attachment and export', () => {
    assert.equal(formatIdentifier(IDENTITY), 'blkferry:1:d-1:a-2:vm1.disk_0');
  });

  it('is read back as what it was made of', () => {
    assert.deepEqual(parseIdentifier('blkferry:1:d-1:a-2:vm1.disk_0'), IDENTITY);
  });

  it('of another program, of a later form, or cut off is not ours', () => {
    for (const other of [
      '',
      'disk',
      'blkferry:2:d-1:a-2:x',
      'blkferry:1:d-1:a-2',
      'blkferry:1:::',
    ]) {
      assert.equal(parseIdentifier(other), undefined, other);
    }
  });
});
