/** The calls of a node over real gRPC: what they answer, and what they refuse with which status and sentence. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { readRequest } from '#daemon/block/block-request.js';
import type {
  CreateVolumeReplyMessage,
  NodeMessage,
  VolumeMessage,
} from '#daemon/rpc/storage-messages.js';
import { LEASE_TIMEOUT_MS, ServedNode, until } from '#test/support/served-node.js';

let served: ServedNode;
beforeEach(async () => {
  served = await ServedNode.start();
});
afterEach(() => served.stop());

describe('the calls of a storage node', () => {
  it('say what the node is', async () => {
    const answer = await served.wire.call<NodeMessage>('GetNode', {});
    assert.notEqual(answer.writeVerifier, 0n);
    assert.deepEqual(
      { ...answer, writeVerifier: 0n },
      {
        nodeId: 'memory-node',
        software: 'blkferry-node test',
        backends: ['memory'],
        writeVerifier: 0n,
        freeBytes: 1000,
        totalBytes: 2000,
        uptimeMs: 0,
        volumeCount: 1,
        sessionCount: 0,
        insecure: false,
        certificateValidToMs: 0,
        refusals: [],
        workerSessions: [],
      },
    );
  });

  it('create a volume with the defaults for what is left out, and say whether it was there', async () => {
    const request = { name: 'v2', sizeBytes: 4096, blockBytes: 0, backend: '' };
    const first = await served.wire.call<CreateVolumeReplyMessage>('CreateVolume', request);
    assert.deepEqual(
      [first.existed, first.volume.blockBytes, first.volume.backend],
      [false, 512, 'memory'],
    );
    const second = await served.wire.call<CreateVolumeReplyMessage>('CreateVolume', request);
    assert.equal(second.existed, true);
    const { volumes } = await served.wire.call<{ volumes: VolumeMessage[] }>('ListVolumes', {});
    assert.deepEqual(
      volumes.map(({ name }) => name),
      ['v1', 'v2'],
    );
  });

  it('answer what cannot be with a status and a sentence', async () => {
    const anyone = { volumeId: 'id-v1', attachmentId: 'a', description: '', takeOver: false };
    for (const [name, request, sentence] of [
      ['GetVolume', { name: 'none' }, /^NOT_FOUND: this node has no volume named none$/],
      ['ResizeVolume', { name: 'none', sizeBytes: 512 }, /^NOT_FOUND: /],
      ['DeleteVolume', { name: 'none' }, /^NOT_FOUND: /],
      [
        'DeleteVolume',
        { name: 'v1', volumeId: 'other' },
        /^NOT_FOUND: volume v1 has the id id-v1, not other: it was made anew$/,
      ],
      [
        'ResizeVolume',
        { name: 'v1', sizeBytes: 512 },
        /^FAILED_PRECONDITION: volume v1 has 1048576 bytes: with 512 data would be cut off/,
      ],
      [
        'AcquireLease',
        { ...anyone, attachmentId: '' },
        /^INVALID_ARGUMENT: attachment_id must have 1 to 64 characters, it has 0$/,
      ],
      [
        'AcquireLease',
        { ...anyone, attachmentId: 'x'.repeat(65) },
        /^INVALID_ARGUMENT: attachment_id .* it has 65$/,
      ],
      [
        'AcquireLease',
        { ...anyone, expectedGeneration: 3 },
        /^ABORTED: volume v1 is at generation 0/,
      ],
      // Field 1 of GetVolumeRequest, cut in the middle of its text.
      [
        'GetVolume',
        Buffer.from([0x0a, 5, 0x61]),
        /^INVALID_ARGUMENT: not a GetVolumeRequest message/,
      ],
    ] as const) {
      await assert.rejects(served.wire.call(name, request), (error: Error) => {
        assert.match(error.message, sentence);
        return true;
      });
    }
  });

  it('survive names that are no text (half a surrogate pair in CESU-8) or very long', async () => {
    for (const [name, sentence] of [
      [Buffer.from([0xed, 0xa0, 0x80]), /INVALID_ARGUMENT: not a GetVolumeRequest message/],
      [Buffer.alloc(100_000, 0x61), /NOT_FOUND: this node has no volume named aaa/],
    ] as const) {
      const lengthBytes = Buffer.from([
        (name.length & 127) | 128,
        ((name.length >> 7) & 127) | 128,
        name.length >> 14,
      ]);
      const request = Buffer.concat([Buffer.from([0x0a]), lengthBytes, name]);
      await assert.rejects(served.wire.call('GetVolume', request), sentence);
    }
    await served.wire.call('GetNode', {});
  });

  it('resize a volume under an open session, which is told and uses the new size at once', async () => {
    const session = await served.openWriter();
    const grown = { name: 'v1', sizeBytes: 2 * 1024 * 1024, allowShrink: false };
    assert.equal(
      (await served.wire.call<VolumeMessage>('ResizeVolume', grown)).sizeBytes,
      grown.sizeBytes,
    );
    assert.deepEqual(await session.next(), { kind: 'resized', sizeBytes: grown.sizeBytes });
    session.request(1, readRequest(1024 * 1024, 512));
    assert.equal((await session.answers(1)).get(1)?.error, undefined);
  });

  it('do not delete a volume that is attached or read, and delete it afterwards', async () => {
    const { generation } = await served.acquire('a');
    const holder = { volumeId: 'id-v1', attachmentId: 'a', generation };
    await served.clock.advance(2 * LEASE_TIMEOUT_MS);
    await assert.rejects(
      served.wire.call('DeleteVolume', { name: 'v1' }),
      /^Error: FAILED_PRECONDITION: volume v1 is attached by daemon of a; detach it there/,
    );
    await served.wire.call('ReleaseLease', holder);
    await served.wire.call('ReleaseLease', holder);
    const [reader] = await served.open({ attachmentId: 'r' });
    await assert.rejects(
      served.wire.call('DeleteVolume', { name: 'v1' }),
      /FAILED_PRECONDITION: volume v1 is being read/,
    );
    reader.halfClose();
    await reader.ended;
    await until(() => !served.catalog.isOpen('v1'));
    await served.wire.call('DeleteVolume', { name: 'v1' });
    assert.equal(served.catalog.byName('v1'), undefined);
  });

  it('show the holder of a volume and whether it is connected', async () => {
    await served.openWriter();
    const { holder, sessionCount, generation } = await served.wire.call<VolumeMessage>(
      'GetVolume',
      {
        name: 'v1',
      },
    );
    assert.deepEqual(
      { holder, sessionCount, generation },
      {
        holder: {
          attachmentId: 'a',
          description: 'daemon of a',
          sinceUnixMs: Date.UTC(2026, 0, 1),
          connected: true,
        },
        sessionCount: 1,
        generation: 1,
      },
    );
  });
});
