/** A standby in a worker: its record is written by the main thread, before the lease is taken over. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import { writeRequest } from '#daemon/block/block-request.js';
import { AttachmentFile } from '#daemon/admin/attachment-file.js';
import { attachRequest } from '#test/support/attach-request.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { until } from '#test/support/served-node.js';
import { AttachmentBench } from '../admin/attachment-bench.js';

AttachmentBench.hasWorkers = true;
const root = temporaryFolder();
let folders = 0;
let bench: AttachmentBench;

beforeEach(async () => {
  folders += 1;
  bench = new AttachmentBench(path.join(root, String(folders)));
  await bench.attachments.attach(attachRequest('v1', { standby: true }));
});

function isStandbyOnDisk(): boolean {
  return new AttachmentFile(bench.folder).read()[0]?.standby === true;
}

describe('a standby in a worker', () => {
  it('is a writer on disk before it takes the lease over', async () => {
    assert.equal(isStandbyOnDisk(), true);
    const { node } = bench;
    const acquire = node.acquireLease.bind(node);
    const seen: boolean[] = [];
    node.acquireLease = (request) => {
      seen.push(isStandbyOnDisk());
      return acquire(request);
    };
    await bench.write(5);
    assert.deepEqual([seen, node.takeOvers], [[false], [true]]);
    assert.equal(bench.attachments.get('v1').standby, false);
  });

  it('takes no lease while its record cannot be written, and goes on when it can', async () => {
    bench.breakStateDirectory();
    const write = submitAsync(bench.device(), writeRequest(0, Buffer.alloc(512, 6)));
    await until(() => bench.attachments.get('v1').state === 'holding');
    assert.deepEqual(bench.node.takeOvers, []);
    bench.mendStateDirectory();
    await write;
    assert.deepEqual(bench.node.takeOvers, [true]);
    assert.equal(isStandbyOnDisk(), false);
  });
});
