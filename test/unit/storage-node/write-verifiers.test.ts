/** When a volume gets a new write verifier. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WriteVerifiers, newWriteVerifier } from '#daemon/storage-node/write-verifiers.js';
import { MemoryDevice } from '#test/support/memory-catalog.js';

const newDevice = (): MemoryDevice => new MemoryDevice(Buffer.alloc(0), 0, 512);

describe('WriteVerifiers', () => {
  it("gives every volume the node's verifier", () => {
    const verifiers = new WriteVerifiers(7n);
    assert.equal(verifiers.ofDevice('a', newDevice()), 7n);
    assert.equal(verifiers.ofDevice('b', newDevice()), 7n);
  });

  it('keeps it on a device whose flush failed, and changes it once when the volume is opened again', () => {
    const verifiers = new WriteVerifiers(7n);
    const failing = newDevice();
    assert.equal(verifiers.flushFailed('a', failing), true);
    assert.equal(verifiers.flushFailed('a', failing), false);
    assert.equal(verifiers.ofDevice('a', failing), 7n);
    const reopened = newDevice();
    const changed = verifiers.ofDevice('a', reopened);
    assert.notEqual(changed, 7n);
    assert.equal(verifiers.ofDevice('a', reopened), changed);
    assert.equal(verifiers.ofDevice('a', newDevice()), changed);
    assert.equal(verifiers.ofDevice('b', newDevice()), 7n);
  });

  it('changes it again when the reopened device fails too', () => {
    const verifiers = new WriteVerifiers(7n);
    verifiers.flushFailed('a', newDevice());
    const second = newDevice();
    const changed = verifiers.ofDevice('a', second);
    verifiers.flushFailed('a', second);
    assert.ok(![7n, changed].includes(verifiers.ofDevice('a', newDevice())));
  });

  it('changes for a volume that is not trusted any more, also on the device that is open', () => {
    const verifiers = new WriteVerifiers(7n);
    const device = newDevice();
    assert.equal(verifiers.ofDevice('a', device), 7n);
    verifiers.distrust('a');
    assert.notEqual(verifiers.ofDevice('a', device), 7n);
    assert.equal(verifiers.ofDevice('b', newDevice()), 7n);
  });

  it('forgets a deleted volume', () => {
    const verifiers = new WriteVerifiers(7n);
    verifiers.flushFailed('a', newDevice());
    verifiers.forget('a');
    assert.equal(verifiers.ofDevice('a', newDevice()), 7n);
  });

  it('are never 0, which means none on the wire, and differ between runs', () => {
    const some = new Set(Array.from({ length: 100 }, newWriteVerifier));
    assert.equal(some.size, 100);
    assert.ok(!some.has(0n));
  });
});
