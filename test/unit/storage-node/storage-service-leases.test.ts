/** What happens to sessions and their requests, over real gRPC, when the lease of their volume moves. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import { readRequest, writeRequest } from '#daemon/block/block-request.js';
import { LEASE_TIMEOUT_MS, ServedNode, until } from '#test/support/served-node.js';

const BLOCK = Buffer.alloc(512, 0xa5);

let served: ServedNode;
beforeEach(async () => {
  served = await ServedNode.start();
});
afterEach(() => served.stop());

describe('a lease that moves', () => {
  it('ends the old writer with ABORTED, and the new one is not told before the old one is silent', async () => {
    const old = await served.openWriter('a');
    const device = served.catalog.device('v1');
    device.hold();
    old.request(1, writeRequest(0, BLOCK));
    await until(() => device.heldCount === 1);
    let granted = false;
    const taken = served.acquire('b', true).then((lease) => {
      granted = true;
      return lease;
    });
    const { code, details } = await old.ended;
    assert.equal(code, 'ABORTED');
    assert.match(
      details,
      /volume v1 was taken over by daemon of b since 2026-01-01T00:00:00.000Z \(generation 2\)/,
    );
    // A call of later than the acquire is answered before it: the acquire waits for the write.
    await served.wire.call('GetNode', {});
    assert.equal(granted, false);
    device.completeNext();
    assert.equal((await taken).generation, 2);
    assert.deepEqual(device.content.subarray(0, 512), BLOCK);
  });

  it('is granted when what the old writer was answered is on stable storage', async () => {
    await served.open({ attachmentId: 'r' });
    const old = await served.openWriter('a');
    old.request(1, writeRequest(0, BLOCK));
    assert.equal((await old.answers(1)).get(1)?.error, undefined);
    const device = served.catalog.device('v1');
    device.hold();
    let granted = false;
    const taken = served.acquire('b', true).then(() => {
      granted = true;
    });
    await until(() => device.heldCount === 1);
    assert.equal(device.submitted.at(-1)?.kind, 'flush');
    await served.wire.call('GetNode', {});
    assert.equal(granted, false);
    device.completeNext();
    await taken;
  });

  it('is granted when that is impossible, and the log says what was lost', async () => {
    const [reader] = await served.open({ attachmentId: 'r' });
    await served.openWriter('a');
    served.catalog.device('v1').flushError = new BlockError('EIO', 'the disk broke');
    assert.equal((await served.acquire('b', true)).generation, 2);
    assert.match(served.logged.join('\n'), /flush_failed: volume v1 could not be made durable/);
    assert.equal((await reader.ended).code, 'UNAVAILABLE');
  });

  it('leaves nothing of the old writer that could be executed later', async () => {
    const old = await served.openWriter('a');
    const fresh = await served.openWriter('b', true);
    old.request(1, writeRequest(0, BLOCK));
    assert.equal((await old.ended).code, 'ABORTED');
    fresh.request(1, readRequest(0, 512));
    assert.deepEqual((await fresh.answers(1)).get(1)?.payload, [Buffer.alloc(512)]);
    const { code } = await served.wire.open({ attachmentId: 'a', generation: 1 }).ended;
    assert.equal(code, 'ABORTED');
  });

  it('does not touch readers', async () => {
    const [reader] = await served.open({ attachmentId: 'r' });
    await served.openWriter('a');
    await served.openWriter('b', true);
    reader.request(1, readRequest(0, 512));
    assert.equal((await reader.answers(1)).size, 1);
  });

  it('by release ends the writer too', async () => {
    const session = await served.openWriter('a');
    await served.wire.call('ReleaseLease', { volumeId: 'id-v1', attachmentId: 'a', generation: 1 });
    assert.deepEqual(await session.ended, {
      code: 'ABORTED',
      details: 'the lease of volume v1 was released',
    });
  });

  it('is refused while the holder is connected, however long ago it was granted', async () => {
    await served.openWriter('a');
    await served.clock.advance(10 * LEASE_TIMEOUT_MS);
    await assert.rejects(
      served.acquire('b'),
      /FAILED_PRECONDITION: volume v1 is held by daemon of a since 2026-01-01T00:00:00\.000Z; detach it there or use --take-over/,
    );
  });
});
