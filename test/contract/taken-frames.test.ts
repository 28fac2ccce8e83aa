/** What `hasTaken` of a session promises, with grpc-js between: payloads are not looked at any more. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { readRequest, writeRequest } from '#daemon/block/block-request.js';
import type { BlockResult } from '#daemon/block/block-request.js';
import type { StorageClient, StorageSession } from '#daemon/transport/storage-client.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { startTestNode, type TestNode } from '#test/support/test-node.js';

const WRITE_BYTES = 512 * 1024;
/** Together several times what flow-control windows and sockets hold. */
const WRITES_PER_BURST = 24;
const BURSTS = 6;
const COUNT = WRITES_PER_BURST * BURSTS;
const SPOILT = 0xee;

const folder = temporaryFolder();
let node: TestNode;
let client: StorageClient;
before(async () => {
  node = await startTestNode(folder);
  client = node.client();
});
after(async () => {
  client.close();
  await node.stop(5000);
});

it('a session that says so has copied what was sent in earlier turns, also when the node lagged', async () => {
  const volume = { name: 'taken', sizeBytes: COUNT * WRITE_BYTES, blockBytes: 512, backend: '' };
  const { volumeId } = (await client.createVolume(volume)).volume;
  const holder = { volumeId, attachmentId: 'a', description: 'test', expectedGeneration: 0 };
  const { generation } = await client.acquireLease({ ...holder, takeOver: false });
  const answers = new Map<number, (result: BlockResult) => void>();
  const session = await new Promise<StorageSession>((resolve, reject) => {
    const opened = client.openSession(
      { volumeId, attachmentId: 'a', generation, streamIndex: 0, checksum: 'none' },
      {
        opened: () => {
          resolve(opened);
        },
        completed: (sequence, result) => answers.get(sequence)?.(result),
        verifierSeen: () => undefined,
        resized: () => undefined,
        ended: reject,
      },
    );
  });
  const seen = { taken: 0, lagging: 0 };
  let sent: Buffer[] = [];
  const written: Promise<BlockResult>[] = [];
  for (let burst = 0; burst < BURSTS; burst += 1) {
    for (let index = 0; index < WRITES_PER_BURST; index += 1) {
      const number = burst * WRITES_PER_BURST + index;
      const data = Buffer.alloc(WRITE_BYTES, number + 1);
      sent.push(data);
      written.push(new Promise((resolve) => answers.set(number, resolve)));
      session.send(number, writeRequest(number * WRITE_BYTES, data));
    }
    let isTaken = false;
    while (!isTaken) {
      await new Promise((resolve) => setImmediate(resolve));
      isTaken = session.hasTaken;
      seen[isTaken ? 'taken' : 'lagging'] += 1;
    }
    for (const data of sent) data.fill(SPOILT);
    sent = [];
  }
  await Promise.all(written);
  for (let number = 0; number < COUNT; number += 1) {
    const answered = new Promise<BlockResult>((resolve) => answers.set(COUNT + number, resolve));
    session.send(COUNT + number, readRequest(number * WRITE_BYTES, WRITE_BYTES));
    const { payload } = await answered;
    assert.ok(payload.equals(Buffer.alloc(WRITE_BYTES, number + 1)), `write ${number} is spoilt`);
  }
  session.close();
  assert.ok(seen.taken > 0 && seen.lagging > 0, JSON.stringify(seen));
});
