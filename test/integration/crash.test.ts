/**
 * Real processes, killed. Goal: what was answered is there afterwards, and clients of the daemon see
 * no error when only the node died. Method: kill -9 while requests are under way; the node loses
 * nothing of its page cache by that, so the loss of unflushed data is the simulator's and the volume
 * tests' business, the protocol around it is tested here.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { submitAsync } from '#daemon/block/block-device.js';
import { flushRequest, readRequest, writeRequest, joined } from '#daemon/block/block-request.js';
import { createAdminClient } from '#daemon/cli/admin-client.js';
import type { AttachmentMessage } from '#daemon/rpc/admin-messages.js';
import { NbdClient } from '#test/support/nbd-client.js';
import { ServicePair } from '#test/support/service-pair.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const folder = temporaryFolder();
const pair = new ServicePair(folder);
after(() => pair.stop());

function block(fill: number): Buffer {
  return Buffer.alloc(4096, fill);
}

function connect(): Promise<NbdClient> {
  return NbdClient.connect({ socketPath: pair.nbdSocket, exportName: 'v1' });
}

async function whenState(state: AttachmentMessage['state']): Promise<AttachmentMessage> {
  const admin = createAdminClient({ address: `unix:${pair.adminSocket}`, timeoutMs: 5000 });
  try {
    for (let tries = 0; tries < 200; tries += 1) {
      const attachment = await admin.getAttachment('v1');
      if (attachment.state === state) return attachment;
      await wait(50);
    }
    throw new Error(`v1 did not become ${state}`);
  } finally {
    admin.close();
  }
}

describe('a node that is killed', () => {
  it('is not noticed by clients but as a pause', async () => {
    await pair.start();
    await pair.attachVolume('v1', 64 * MIB);
    const client = await connect();
    const answers: Promise<unknown>[] = [];
    for (let round = 0; round < 3; round += 1) {
      for (let index = 0; index < 200; index += 1) {
        answers.push(
          submitAsync(client, writeRequest(index * 4096, block(round * 50 + (index % 50)))),
        );
      }
      await answers[answers.length - 100];
      await pair.killNode();
      answers.push(submitAsync(client, flushRequest()));
      await pair.startNode();
    }
    await Promise.all(answers);
    for (let index = 0; index < 200; index += 1) {
      const { payload } = await submitAsync(client, readRequest(index * 4096, 4096));
      assert.deepEqual(joined(payload), block(100 + (index % 50)), `block ${index}`);
    }
    const { counters } = await whenState('active');
    assert.ok((counters?.reconnects ?? 0) >= 3);
    await client.close();
  });

  it('is given up and found again when it is stopped, not dead', async () => {
    const client = await connect();
    await submitAsync(client, writeRequest(0, block(1)));
    pair.node.signal('SIGSTOP');
    const write = submitAsync(client, writeRequest(0, block(2)));
    const holding = await whenState('holding');
    assert.match(holding.detail, /silent for \d+ ms/);
    pair.node.signal('SIGCONT');
    await write;
    assert.deepEqual(joined((await submitAsync(client, readRequest(0, 4096))).payload), block(2));
    await client.close();
  });
});

describe('a daemon that is killed', () => {
  it('comes back with its attachments, and with every answered write', async () => {
    const client = await connect();
    for (let index = 0; index < 100; index += 1) {
      await submitAsync(client, writeRequest(index * 4096, block(200 + (index % 50))));
    }
    await pair.killDaemon();
    await client.close();
    await pair.startDaemon();
    await whenState('active');
    const again = await connect();
    for (let index = 0; index < 100; index += 1) {
      const { payload } = await submitAsync(again, readRequest(index * 4096, 4096));
      assert.deepEqual(joined(payload), block(200 + (index % 50)), `block ${index}`);
    }
    await again.close();
  });

  it('sends answered writes again that the node lost meanwhile', async () => {
    const client = await connect();
    await submitAsync(client, flushRequest());
    await submitAsync(client, writeRequest(0, block(77)));
    await pair.killDaemon();
    await pair.killNode();
    await client.close();
    // What a power cut would have done to the node: the write is gone from its disk.
    const data = fs.readdirSync(path.join(folder, 'data/volumes'))[0] ?? '';
    const fd = fs.openSync(path.join(folder, 'data/volumes', data, 'data'), 'r+');
    fs.writeSync(fd, block(0), 0, 4096, 0);
    fs.closeSync(fd);
    await pair.startNode();
    await pair.startDaemon();
    const { counters } = await whenState('active');
    assert.ok((counters?.requestsReplayed ?? 0) >= 1);
    const again = await connect();
    assert.deepEqual(joined((await submitAsync(again, readRequest(0, 4096))).payload), block(77));
    await again.close();
  });

  it('waits for a node that is away when it starts', async () => {
    await pair.stopDaemon();
    await pair.killNode();
    await pair.startDaemon();
    const { detail } = await whenState('connecting');
    assert.match(detail, /no node answers at .*; is blkferry-node running\?/);
    await assert.rejects(connect(), /unknown|not/i);
    await pair.startNode();
    await whenState('active');
    await (await connect()).close();
  });

  it('stops in order: flushes, keeps what is attached, and leaves nothing to send again', async () => {
    const client = await connect();
    await submitAsync(client, writeRequest(0, block(9)));
    assert.equal(await pair.stopDaemon(), 0);
    const replay = path.join(folder, 'run/replay');
    const logs = fs
      .readdirSync(replay)
      .flatMap((one) =>
        fs.readdirSync(path.join(replay, one)).map((name) => path.join(replay, one, name)),
      );
    const bytes = logs
      .filter((name) => name.endsWith('.log'))
      .reduce((sum, name) => sum + fs.statSync(name).size, 0);
    assert.equal(bytes, 0);
    await pair.startDaemon();
    await whenState('active');
  });
});

describe('a second one', () => {
  it('node on the same data directory is refused with a sentence', async () => {
    await assert.rejects(
      pair.startSecondNode(),
      /another blkferry-node \(pid \d+\) uses .*--data-directory/,
    );
  });

  it('daemon on the same state directory is refused with a sentence', async () => {
    await assert.rejects(
      pair.startSecondDaemon(),
      /another blkferryd \(pid \d+\) uses .*--state-directory/,
    );
  });
});
