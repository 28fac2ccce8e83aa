/** The ordered stop of a node: answered, flushed, closed, and in time. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import { writeRequest } from '#daemon/block/block-request.js';
import { ServedNode, until } from '#test/support/served-node.js';

const BLOCK = Buffer.alloc(512, 0xa5);

let served: ServedNode;
beforeEach(async () => {
  served = await ServedNode.start();
});
afterEach(() => served.stop());

describe('an ordered stop', () => {
  it('answers what was received, flushes, closes, and says that it stops', async () => {
    const session = await served.openWriter('a');
    const device = served.catalog.device('v1');
    device.hold();
    session.request(1, writeRequest(0, BLOCK));
    await until(() => device.heldCount === 1);
    const stopped = served.node.stop(10_000);
    assert.equal(served.node.stop(1), stopped);
    await until(
      () => device.heldCount === 1 && !fs.existsSync(served.node.address.slice('unix:'.length)),
    );
    assert.equal(served.catalog.closed, false);
    device.completeAll();
    assert.equal((await session.answers(1)).get(1)?.error, undefined);
    assert.deepEqual(await session.ended, { code: 'UNAVAILABLE', details: 'the node is stopping' });
    await stopped;
    assert.deepEqual(
      device.submitted.map(({ kind }) => kind),
      ['write', 'flush'],
    );
    assert.ok(device.closed && served.catalog.closed);
  });

  it('fails, but closes everything, when a volume cannot be flushed', async () => {
    await served.openWriter('a');
    served.catalog.device('v1').flushError = new BlockError('EIO', 'bad disk');
    await assert.rejects(served.node.stop(10_000), /volume v1 could not be flushed: bad disk/);
    assert.ok(served.catalog.closed);
  });

  it('does not wait longer than it may for a disk that hangs', async () => {
    const session = await served.openWriter('a');
    const device = served.catalog.device('v1');
    device.hold();
    session.request(1, writeRequest(0, BLOCK));
    await until(() => device.heldCount === 1);
    const stopped = served.node.stop(5000);
    await until(() => served.clock.timerCount > 0);
    await served.clock.advance(5000);
    await stopped;
    assert.ok(served.catalog.closed);
    device.completeAll();
  });
});
