/**
 * Goal: a node with several threads that is killed is a pause for clients, as any other is, and has no more threads than
 * it was told. Method: real processes, kill -9 while two volumes are written.
 */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import { flushRequest, joined, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import { NbdClient } from '#test/support/nbd-client.js';
import { ServicePair } from '#test/support/service-pair.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { TEST_SESSION_TIMES } from '#test/support/test-node.js';

const MIB = 1024 * 1024;
const VOLUMES = ['v1', 'v2', 'v3', 'v4'];
const BLOCKS = 200;

const pair = new ServicePair(temporaryFolder(), { BLKFERRY_WORKERS: '3' });
after(() => pair.stop());

function fillOf(volume: number, index: number, round: number): Buffer {
  return Buffer.alloc(4096, volume * 60 + ((index + round) % 60));
}

describe('a node with three workers that is killed', { timeout: 60_000 }, () => {
  it('is not noticed by the clients of its volumes but as a pause', async () => {
    await pair.start();
    for (const name of VOLUMES) await pair.attachVolume(name, 4 * MIB);
    const clients = await Promise.all(
      VOLUMES.map((exportName) => NbdClient.connect({ socketPath: pair.nbdSocket, exportName })),
    );
    const answers: Promise<unknown>[] = [];
    for (let round = 0; round < 3; round += 1) {
      for (let index = 0; index < BLOCKS; index += 1) {
        for (const [volume, client] of clients.entries()) {
          const write = writeRequest(index * 4096, fillOf(volume, index, round));
          answers.push(submitAsync(client, write));
        }
      }
      await answers[answers.length - BLOCKS];
      await pair.killNode();
      for (const client of clients) answers.push(submitAsync(client, flushRequest()));
      await pair.startNode();
    }
    await Promise.all(answers);
    for (const [volume, client] of clients.entries()) {
      for (let index = 0; index < BLOCKS; index += 1) {
        const { payload } = await submitAsync(client, readRequest(index * 4096, 4096));
        assert.deepEqual(joined(payload), fillOf(volume, index, 2), `v${volume} block ${index}`);
      }
      await client.close();
    }
  });

  it('serves all of their sessions by its workers', async () => {
    const client = createGrpcStorageClient({
      address: pair.nodeAddress,
      callTimeoutMs: 5000,
      sessionTimes: TEST_SESSION_TIMES,
      insecure: false,
      clock: SYSTEM_CLOCK,
    });
    const { workerSessions, sessionCount } = await client.getNode();
    client.close();
    assert.equal(workerSessions.length, 3);
    assert.equal(sessionCount, VOLUMES.length);
    assert.equal(
      workerSessions.reduce((sum, count) => sum + count, 0),
      VOLUMES.length,
    );
  });

  it('stops in order', async () => {
    assert.equal(await pair.stopDaemon(), 0);
    assert.equal(await pair.node.stop(), 0);
    assert.match(pair.node.stderr(), /"event":"workers_started","count":3/);
  });
});
