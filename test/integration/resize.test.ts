/** A volume that grows while it is attached: the daemon learns it at once, new clients see it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { submitAsync } from '#daemon/block/block-device.js';
import { readRequest, writeRequest, joined } from '#daemon/block/block-request.js';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import { NbdClient } from '#test/support/nbd-client.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const folder = temporaryFolder();
let stack: BlkferryStack;
before(async () => {
  stack = await BlkferryStack.start(folder);
});
after(async () => {
  await stack.stop();
});

async function whenSize(name: string, sizeBytes: number): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await stack.admin.getAttachment(name)).sizeBytes === sizeBytes) return;
    await wait(20);
  }
  assert.fail(`the daemon did not learn that ${name} has ${sizeBytes} bytes`);
}

describe('resizing an attached volume', () => {
  it('shows the new size to the next client, and lets it use what was added', async () => {
    const { name } = await stack.newExport({ sizeBytes: 4 * MIB });
    const early = await NbdClient.connect({ socketPath: stack.socketPath, exportName: name });
    await stack.storage.resizeVolume({ name, sizeBytes: 8 * MIB, allowShrink: false });
    await whenSize(name, 8 * MIB);
    const late = await NbdClient.connect({ socketPath: stack.socketPath, exportName: name });
    assert.equal(late.facts.sizeBytes, 8 * MIB);
    await submitAsync(late, writeRequest(8 * MIB - 4096, Buffer.alloc(4096, 1)));
    assert.deepEqual(
      joined((await submitAsync(late, readRequest(8 * MIB - 4096, 4096))).payload),
      Buffer.alloc(4096, 1),
    );
    await submitAsync(early, readRequest(0, 4096));
    await Promise.all([early.close(), late.close()]);
  });
});
