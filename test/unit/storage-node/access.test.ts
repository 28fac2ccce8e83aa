/**
 * Who may do what on a node, over real gRPC: every call of the service for clients with and without the right,
 * and the same answer whether a volume is there or not. Who the client is it says itself here; that
 * certificates say it is asked in test/integration.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { readRequest, writeRequest } from '#daemon/block/block-request.js';
import { AccessRules } from '#daemon/config/access-rules.js';
import type { LeaseMessage, NodeMessage, VolumeMessage } from '#daemon/rpc/storage-messages.js';
import { ALLOWANCE_INTERVAL_MS, RECORDS_PER_CLIENT_MAX } from '#daemon/runtime/log-allowance.js';
import type { NodeWire, SessionWire, StreamEnd } from '#test/support/node-wire.js';
import { LEASE_TIMEOUT_MS, ServedNode, until } from '#test/support/served-node.js';

const RULES = `
[[rule]]
name = "hosts"
clients = ["host-*"]
volumes = ["v*"]
rights = ["write"]
[[rule]]
clients = ["backup"]
volumes = ["v*"]
rights = ["read"]
[[rule]]
clients = ["maker"]
volumes = ["*"]
rights = ["administer"]
[[rule]]
clients = ["chief"]
volumes = ["*"]
rights = ["take-over"]
[[rule]]
clients = ["other"]
volumes = ["w"]
rights = ["write"]
`;

const BLOCK = Buffer.alloc(512, 0xa5);

let served: ServedNode;
beforeEach(async () => {
  served = await ServedNode.start(RULES);
  served.catalog.add({ name: 'secret' });
});
afterEach(() => served.stop());

async function refusal(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'granted',
    (error: unknown) => (error as Error).message,
  );
}

function acquire(wire: NodeWire, attachmentId: string, takeOver = false): Promise<LeaseMessage> {
  return wire.call<LeaseMessage>('AcquireLease', {
    volumeId: 'id-v1',
    attachmentId,
    description: `daemon of ${attachmentId}`,
    expectedGeneration: 0,
    takeOver,
  });
}

async function openWriter(wire: NodeWire, attachmentId: string): Promise<SessionWire> {
  const { generation } = await acquire(wire, attachmentId);
  const session = wire.open({ attachmentId, generation });
  assert.equal((await session.next()).kind, 'opened');
  return session;
}

/** What each call says to a client, for a volume of this name and id. */
async function answers(wire: NodeWire, name: string): Promise<string[]> {
  const volumeId = `id-${name}`;
  const lease = { volumeId, attachmentId: 'x', description: '', expectedGeneration: 0 };
  const ends = (end: StreamEnd): string => `${end.code}: ${end.details}`;
  const open = (generation: number): Promise<string> =>
    wire.open({ volumeId, attachmentId: 'x', generation }).ended.then(ends);
  return [
    await refusal(wire.call('GetVolume', { name })),
    await refusal(wire.call('CreateVolume', { name, sizeBytes: 512 })),
    await refusal(wire.call('ResizeVolume', { name, sizeBytes: 2 ** 21, allowShrink: false })),
    await refusal(wire.call('DeleteVolume', { name, volumeId: '' })),
    await refusal(wire.call('AcquireLease', { ...lease, takeOver: false })),
    await refusal(wire.call('AcquireLease', { ...lease, takeOver: true })),
    await refusal(wire.call('ReleaseLease', { volumeId, attachmentId: 'x', generation: 1 })),
    await open(0),
    await open(1),
  ];
}

describe('a client without any right on a volume', () => {
  it('is refused by every call, in words that do not tell whether the volume is there', async () => {
    const wire = served.as('other');
    const there = await answers(wire, 'secret');
    const missing = await answers(wire, 'absent');
    assert.deepEqual(
      there,
      missing.map((answer) => answer.replaceAll('absent', 'secret')),
    );
    const end = 'on this node; its access_file says who may';
    const byName = (verb: string): string =>
      `PERMISSION_DENIED: other may not ${verb} volume secret ${end}`;
    const byId = (verb: string): string =>
      `PERMISSION_DENIED: other may not ${verb} a volume with the id id-secret ${end}`;
    assert.deepEqual(there, [
      byName('see'),
      byName('administer'),
      byName('administer'),
      byName('administer'),
      byId('write'),
      byId('write'),
      byId('write'),
      byId('read'),
      byId('write'),
    ]);
    assert.ok(served.catalog.byName('secret') !== undefined);
    assert.equal(served.catalog.byName('absent'), undefined);
  });

  it('does not find it in the list, nor in the numbers of the node', async () => {
    const { volumes } = await served
      .as('host-a')
      .call<{ volumes: VolumeMessage[] }>('ListVolumes', {});
    assert.deepEqual(
      volumes.map(({ name }) => name),
      ['v1'],
    );
    assert.equal((await served.as('maker').call<NodeMessage>('GetNode', {})).volumeCount, 2);
    assert.equal((await served.as('host-a').call<NodeMessage>('GetNode', {})).volumeCount, 1);
  });
});

describe('a client that no rule names', () => {
  it('may not even ask the node what it is', async () => {
    const sentence =
      'PERMISSION_DENIED: eve may do nothing on this node; its access_file says who may';
    assert.equal(await refusal(served.as('eve').call('GetNode', {})), sentence);
    assert.equal(await refusal(served.as('eve').call('ListVolumes', {})), sentence);
  });
});

describe('a client with a right', () => {
  it('to read sees the volume and reads it, and can neither lease nor change it', async () => {
    const wire = served.as('backup');
    assert.equal((await wire.call<VolumeMessage>('GetVolume', { name: 'v1' })).name, 'v1');
    const session = wire.open({ attachmentId: 'r' });
    assert.equal((await session.next()).kind, 'opened');
    session.request(1, readRequest(0, 512), writeRequest(0, BLOCK));
    const replies = await session.answers(2);
    assert.equal(replies.get(1)?.error, undefined);
    assert.equal(replies.get(2)?.error?.errno, 'EPERM');
    assert.equal(
      await refusal(acquire(wire, 'r')),
      'PERMISSION_DENIED: backup may not write a volume with the id id-v1 on this node; its access_file says who may',
    );
    assert.match(
      await refusal(wire.call('DeleteVolume', { name: 'v1', volumeId: '' })),
      /^PERMISSION_DENIED: backup may not administer volume v1 on this node/,
    );
  });

  it('to write may not make, resize or delete volumes', async () => {
    const wire = served.as('host-a');
    assert.equal(await refusal(wire.call('GetVolume', { name: 'v1' })), 'granted');
    for (const [act, request] of [
      ['CreateVolume', { name: 'v1', sizeBytes: 512 }],
      ['ResizeVolume', { name: 'v1', sizeBytes: 2 ** 21, allowShrink: false }],
      ['DeleteVolume', { name: 'v1', volumeId: '' }],
    ] as const)
      assert.equal(
        await refusal(wire.call(act, request)),
        'PERMISSION_DENIED: host-a may not administer volume v1 on this node; its access_file says who may',
      );
  });

  it('to administer sees the volume, and may not open it', async () => {
    const wire = served.as('maker');
    assert.equal((await wire.call<VolumeMessage>('GetVolume', { name: 'v1' })).name, 'v1');
    assert.match(
      (await wire.open({ attachmentId: 'm' }).ended).details,
      /^maker may not read a volume/,
    );
    assert.equal(
      await refusal(wire.call('ResizeVolume', { name: 'v1', sizeBytes: 2 ** 21 })),
      'granted',
    );
    assert.equal(
      await refusal(wire.call('DeleteVolume', { name: 'absent', volumeId: '' })),
      'NOT_FOUND: this node has no volume named absent',
    );
  });

  it('on all volumes is told when an id is unknown', async () => {
    const { details } = await served.as('chief').open({ volumeId: 'none', attachmentId: 'c' })
      .ended;
    assert.equal(details, 'no volume has the id none');
  });
});

describe('a lease that is held', () => {
  it('is not given to another client that names its attachment, and the holder is not disturbed', async () => {
    const holder = await openWriter(served.as('host-a'), 'a');
    assert.equal(
      await refusal(acquire(served.as('host-b'), 'a')),
      'FAILED_PRECONDITION: volume v1 is held by daemon of a since 2026-01-01T00:00:00.000Z; detach it there or use --take-over',
    );
    holder.request(1, writeRequest(0, BLOCK));
    assert.equal((await holder.answers(1)).get(1)?.error, undefined);
  });

  it('is not released by another client that names its attachment and generation', async () => {
    const holder = await openWriter(served.as('host-a'), 'a');
    const release = { volumeId: 'id-v1', attachmentId: 'a', generation: 1 };
    await served.as('host-b').call('ReleaseLease', release);
    holder.request(1, writeRequest(0, BLOCK));
    assert.equal((await holder.answers(1)).get(1)?.error, undefined);
    assert.equal(served.catalog.byName('v1')?.holder?.attachmentId, 'a');
    await served.as('host-a').call('ReleaseLease', release);
    assert.equal(served.catalog.byName('v1')?.holder, undefined);
  });

  it('gives no writing session to another client, and its reader replaces nobody', async () => {
    const holder = await openWriter(served.as('host-a'), 'a');
    const thief = await served.as('host-b').open({ attachmentId: 'a', generation: 1 }).ended;
    assert.equal(thief.code, 'ABORTED');
    const reader = served.as('backup').open({ attachmentId: 'a' });
    assert.equal((await reader.next()).kind, 'opened');
    holder.request(1, writeRequest(0, BLOCK));
    assert.equal((await holder.answers(1)).get(1)?.error, undefined);
  });

  it('is taken over only by a client with that right, while the holder is alive', async () => {
    const holder = await openWriter(served.as('host-a'), 'a');
    assert.equal(
      await refusal(acquire(served.as('host-b'), 'b', true)),
      "PERMISSION_DENIED: volume v1 is held by daemon of a, another client: host-b may not take it over (right take-over in the node's access_file)",
    );
    assert.equal((await acquire(served.as('chief'), 'c', true)).generation, 2);
    assert.equal((await holder.ended).code, 'ABORTED');
    assert.deepEqual(
      served.audited.map(({ act, client, object, result }) => [act, client, object, result]),
      [
        ['AcquireLease', 'host-b', 'volume v1', 'denied'],
        ['AcquireLease', 'chief', 'volume v1', 'done'],
      ],
    );
  });

  it('goes to any writer once its holder has been away for the time of a lease', async () => {
    const holder = await openWriter(served.as('host-a'), 'a');
    holder.cancel();
    await until(() => served.node.service.sessions.count === 0);
    await served.clock.advance(LEASE_TIMEOUT_MS + 1);
    assert.equal((await acquire(served.as('host-b'), 'b')).generation, 2);
  });

  it('is known again by one name in common, and by all the names of the newest certificate', async () => {
    await acquire(served.as('host-a,uri:one'), 'a');
    assert.equal((await acquire(served.as('host-x,uri:one'), 'a')).generation, 2);
    assert.deepEqual(served.catalog.byName('v1')?.holder?.clientNames, ['host-x', 'uri:one']);
    assert.match(await refusal(acquire(served.as('host-a'), 'a')), /^FAILED_PRECONDITION/);
  });
});

describe('rules that change', () => {
  const OTHER = '[[rule]]\nclients=["backup","host-b"]\nvolumes=["v1"]\nrights=["write"]\n';

  it('end the sessions whose right was taken away, and no others', async () => {
    const writer = await openWriter(served.as('host-a'), 'a');
    const reader = served.as('backup').open({ attachmentId: 'r' });
    await reader.next();
    served.access.replaceRules(AccessRules.fromText(OTHER, 'rules'));
    assert.equal(served.node.service.gate.endUnallowed(), 1);
    assert.deepEqual(await writer.ended, {
      code: 'PERMISSION_DENIED',
      details:
        'host-a may not write a volume with the id id-v1 on this node; its access_file says who may',
    });
    reader.request(1, readRequest(0, 512));
    assert.equal((await reader.answers(1)).size, 1);
    assert.match(
      (await served.as('host-a').open({ attachmentId: 'a', generation: 1 }).ended).details,
      /^host-a may not write/,
    );
  });

  it('end a writer whose right was narrowed to reading', async () => {
    const writer = await openWriter(served.as('host-a'), 'a');
    const rules = '[[rule]]\nclients=["host-a"]\nvolumes=["*"]\nrights=["read"]\n';
    served.access.replaceRules(AccessRules.fromText(rules, 'rules'));
    assert.equal(served.node.service.gate.endUnallowed(), 1);
    assert.equal((await writer.ended).code, 'PERMISSION_DENIED');
    const reader = served.as('host-a').open({ attachmentId: 'a' });
    assert.equal((await reader.next()).kind, 'opened');
  });
});

describe('the log of a node', () => {
  const refusals = (): string[] =>
    served.logged.filter((line) => /^(access_refused|warnings_left_out)/.test(line));

  it('has each refusal with client, volume, right and reason, again only after a minute', async () => {
    const wire = served.as('backup');
    for (let count = 0; count < 3; count += 1) await refusal(acquire(wire, 'r'));
    const sentence =
      'access_refused: backup was refused to write a volume with the id id-v1: the rules for this client and volume give read, not write';
    assert.deepEqual(refusals(), [sentence]);
    await served.clock.advance(ALLOWANCE_INTERVAL_MS);
    await refusal(acquire(wire, 'r'));
    assert.deepEqual(refusals(), [
      sentence,
      'warnings_left_out: access_refused of backup: 2 more within a minute were not logged, 2 of them like some that were',
      sentence,
    ]);
  });

  it('has only so many of a client that asks for ever new volumes, and those of others', async () => {
    const ask = (index: number): Promise<string> =>
      refusal(served.as('other').call('GetVolume', { name: `name-${index}` }));
    for (let index = 0; index < RECORDS_PER_CLIENT_MAX; index += 1) await ask(index);
    assert.equal(refusals().length, RECORDS_PER_CLIENT_MAX);
    assert.match(await ask(RECORDS_PER_CLIENT_MAX), /^PERMISSION_DENIED: other may not see volume/);
    assert.equal(refusals().length, RECORDS_PER_CLIENT_MAX);
    await refusal(acquire(served.as('backup'), 'r'));
    assert.match(refusals().at(-1) ?? '', /^access_refused: backup was refused to write/);
    await served.clock.advance(ALLOWANCE_INTERVAL_MS);
    assert.equal(
      refusals().at(-1),
      'warnings_left_out: access_refused of other: 1 more within a minute were not logged, 0 of them like some that were',
    );
    const { refusals: counts } = await served.as('chief').call<NodeMessage>('GetNode', {});
    assert.deepEqual(counts, [{ event: 'access_refused', count: RECORDS_PER_CLIENT_MAX + 2 }]);
  });
});

describe('the audit log of a node', () => {
  it('has every administrative act, with who asked for what and what came of it', async () => {
    const maker = served.as('maker');
    await maker.call('CreateVolume', { name: 'new', sizeBytes: 4096, blockBytes: 512 });
    await maker.call('DeleteVolume', { name: 'new', volumeId: '' });
    await refusal(maker.call('DeleteVolume', { name: 'new', volumeId: '' }));
    await refusal(served.as('host-a').call('ResizeVolume', { name: 'v1', sizeBytes: 512 }));
    await maker.call('GetVolume', { name: 'v1' });
    assert.deepEqual(
      served.audited.map(({ act, client, object, result, reason }) => [
        `${client}: ${act} ${object}: ${result}`,
        reason,
      ]),
      [
        ['maker: CreateVolume volume new: done', undefined],
        ['maker: DeleteVolume volume new: done', undefined],
        ['maker: DeleteVolume volume new: failed', 'this node has no volume named new'],
        [
          'host-a: ResizeVolume volume v1: denied',
          'host-a may not administer volume v1 on this node; its access_file says who may',
        ],
      ],
    );
    assert.deepEqual(served.audited[0]?.details, {
      name: 'new',
      sizeBytes: 4096,
      blockBytes: 512,
      backend: '',
    });
  });
});
