/**
 * nbd.idle_timeout: who asks nothing and waits for nothing goes; everybody else stays. Method: raw sockets against
 * the running programs, and a node that stands still, so that an answer takes longer than the limit.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import type { NbdExport } from '#test/support/nbd-server-interface.js';
import { READ, request } from '#test/support/nbd-bytes.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { RawConnection } from './raw-connection.js';

const MIB = 1024 * 1024;
const LIMIT_MS = 400;

describe('nbd.idle_timeout', { timeout: 60_000 }, () => {
  const folder = temporaryFolder();
  let stack: BlkferryStack;
  let disk: NbdExport;

  before(async () => {
    stack = await BlkferryStack.start(folder, {
      daemon: { BLKFERRY_NBD_IDLE_TIMEOUT: `${LIMIT_MS}ms` },
    });
    disk = await stack.newExport({ sizeBytes: MIB });
  });
  after(() => stack.stop());

  const connected = (): Promise<RawConnection> =>
    RawConnection.inTransmission(disk.socketPath, disk.name);

  async function expectAnswered(peer: RawConnection): Promise<void> {
    assert.equal((await peer.receive(16 + 512)).readUInt32BE(4), 0);
  }

  it('ends a client that asks nothing for so long, and the log says why', async () => {
    const peer = await connected();
    peer.send(request({ ...READ, length: 512 }));
    await expectAnswered(peer);
    const startMs = performance.now();
    assert.deepEqual(await peer.receiveUntilClosed(), Buffer.alloc(0));
    assert.ok(performance.now() - startMs > LIMIT_MS / 2);
    const sentence = `export ${disk.name}: it asked nothing for ${LIMIT_MS} ms (nbd.idle_timeout)`;
    // What it logged first may be read last.
    while (!stack.daemon.stderr().includes(sentence)) await wait(10);
    peer.close();
  });

  it('leaves alone who asks now and then', async () => {
    const peer = await connected();
    const untilMs = performance.now() + 3 * LIMIT_MS;
    while (performance.now() < untilMs) {
      peer.send(request({ ...READ, length: 512 }));
      await expectAnswered(peer);
      await wait(LIMIT_MS / 8);
    }
    peer.close();
  });

  it('leaves alone who waits for an answer', async () => {
    const peer = await connected();
    stack.node.signal('SIGSTOP');
    try {
      peer.send(request({ ...READ, length: 512 }));
      await wait(3 * LIMIT_MS);
    } finally {
      stack.node.signal('SIGCONT');
    }
    await expectAnswered(peer);
    peer.close();
  });
});
