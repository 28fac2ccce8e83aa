/**
 * Goal: a hole costs nothing on the way between node and daemon, and a client that does not know that holes can be left
 * out gets every byte. Method: a real node with a file, a relay that counts before it.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import { joined, payloadBytes, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { isZeroPiece } from '#daemon/block/zeroes.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';
import { ReplayLog } from '#daemon/volume/replay-log.js';
import { MemoryReplayStore } from '#daemon/volume/replay-store.js';
import { Volume } from '#daemon/volume/volume.js';
import { FaultyRelay } from '#test/support/faulty-relay.js';
import { whyHolesAreUnknown } from '#test/support/file-holes.js';
import { NodeWire } from '#test/support/node-wire.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { TEST_SESSION_TIMES, startTestNode, type TestNode } from '#test/support/test-node.js';

const MIB = 1024 * 1024;
const VOLUME_BYTES = 80 * MIB;
const HOLE_BYTES = 64 * MIB;
/** Requests and replies of 64 reads, with the messages of HTTP/2 around them. */
const MOVED_BYTES_MAX = 64 * 1024;

describe('holes between node and daemon', { skip: whyHolesAreUnknown() }, () => {
  const folder = temporaryFolder();
  let node: TestNode;
  let relay: FaultyRelay;
  let client: StorageClient;
  let volume: Volume;

  before(async () => {
    node = await startTestNode(folder);
    const socket = path.join(folder, 'relay.sock');
    relay = await FaultyRelay.start(socket, path.join(folder, 'node.sock'));
    client = createGrpcStorageClient({
      address: relay.address,
      callTimeoutMs: 5000,
      sessionTimes: TEST_SESSION_TIMES,
      insecure: false,
      clock: SYSTEM_CLOCK,
    });
    await client.createVolume({ name: 'v1', sizeBytes: VOLUME_BYTES, blockBytes: 0, backend: '' });
    volume = newVolume(client);
    await volume.start();
  });
  after(async () => {
    await volume.close();
    client.close();
    await relay.stop();
    await node.stop(5000);
  });

  const read = async (offsetBytes: number, lengthBytes: number): Promise<readonly Buffer[]> =>
    (await submitAsync(volume, readRequest(offsetBytes, lengthBytes))).payload;

  it('64 MiB in reads of 1 MiB move next to nothing, and are zeroes', async () => {
    const beforeBytes = relay.passedBytes;
    for (let at = 0; at < HOLE_BYTES; at += MIB)
      assert.ok(joined(await read(at, MIB)).equals(Buffer.alloc(MIB)));
    const movedBytes = relay.passedBytes - beforeBytes;
    assert.ok(movedBytes < MOVED_BYTES_MAX, `${movedBytes} bytes were moved`);
  });

  it('many at a time are no more', async () => {
    const beforeBytes = relay.passedBytes;
    const reads = Array.from({ length: 64 }, (_, index) => read(index * MIB, MIB));
    for (const payload of await Promise.all(reads)) assert.ok(payload.every(isZeroPiece));
    assert.ok(relay.passedBytes - beforeBytes < MOVED_BYTES_MAX);
  });

  it('data behind one moves once', async () => {
    const data = Buffer.alloc(128 * 1024, 0xa5);
    await submitAsync(volume, writeRequest(72 * MIB, data));
    const beforeBytes = relay.passedBytes;
    const expected = Buffer.concat([Buffer.alloc(MIB), data]);
    assert.ok(joined(await read(71 * MIB, expected.length)).equals(expected));
    const movedBytes = relay.passedBytes - beforeBytes;
    assert.ok(movedBytes >= data.length && movedBytes < data.length + 4096, String(movedBytes));
  });

  it('come as zeroes to a client that does not take them', async () => {
    const { volumeId } = await client.getVolume('v1');
    const wire = new NodeWire(node.address);
    try {
      for (const takesHoles of [false, true]) {
        const session = wire.open({ volumeId, attachmentId: `takes-${takesHoles}`, takesHoles });
        await session.next();
        session.request(1, readRequest(0, MIB));
        const payload = (await session.answers(1)).get(1)?.payload ?? [];
        assert.equal(payloadBytes(payload), MIB);
        assert.ok(joined(payload).equals(Buffer.alloc(MIB)));
        assert.equal(payload.every(isZeroPiece), takesHoles);
        session.cancel();
      }
    } finally {
      wire.close();
    }
  });
});

function newVolume(client: StorageClient): Volume {
  return new Volume({
    link: {
      ...{ client, volumeName: 'v1', volumeId: undefined, attachmentId: 'a', description: 'test' },
      ...{ readOnly: false, takeOver: false, expectedGeneration: 0, checksum: 'crc32c' as const },
      ...{ clock: SYSTEM_CLOCK, random: Math.random },
    },
    limits: { queueDepth: 256, bytesMax: 64 * MIB },
    replayLog: new ReplayLog(new MemoryReplayStore(), { bytesMax: 64 * MIB, entriesMax: 1000 }),
    writeCache: false,
    readAheadBytes: 0,
    ioHoldTimeoutMs: 10_000,
    clock: SYSTEM_CLOCK,
    defer: setImmediate,
    onState: () => undefined,
    onFacts: () => undefined,
  });
}
