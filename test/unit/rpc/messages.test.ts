/**
 * The TypeScript interfaces of the messages against the .proto files: a sample of each interface, complete
 * because the compiler says so, must have exactly the fields of its message, with fitting kinds. Then the
 * codec between the two, with protobufjs alone as the other side.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import protobuf from 'protobufjs';
import type {
  AttachmentMessage,
  AttachReplyMessage,
  AttachRequestMessage,
  CountersMessage,
  DaemonMessage,
  DetachReplyMessage,
  DetachRequestMessage,
  FailNowReplyMessage,
  FailNowRequestMessage,
  GetAttachmentRequestMessage,
  ListAttachmentsReplyMessage,
  RetryNowReplyMessage,
  RetryNowRequestMessage,
} from '#daemon/rpc/admin-messages.js';
import { decodeMessage, encodeMessage, enumNumber, enumString } from '#daemon/rpc/message-codec.js';
import { PROTO_ROOT, lookupType } from '#daemon/rpc/proto-root.js';
import { ADMIN_SERVICE, STORAGE_SERVICE } from '#daemon/rpc/service-definition.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type {
  AcquireLeaseRequestMessage,
  CreateVolumeReplyMessage,
  CreateVolumeRequestMessage,
  DeleteVolumeRequestMessage,
  LeaseHolderMessage,
  LeaseMessage,
  NodeMessage,
  ReleaseLeaseRequestMessage,
  ResizeVolumeRequestMessage,
  VolumeMessage,
} from '#daemon/rpc/storage-messages.js';
import type { EventCount } from '#daemon/runtime/repeated-warnings.js';
import { fromBigInt, toBigInt, toSafeNumber } from '#daemon/rpc/uint64.js';

const LARGEST = Number.MAX_SAFE_INTEGER;

const holder: LeaseHolderMessage = {
  attachmentId: 'a',
  description: 'd',
  sinceUnixMs: LARGEST,
  connected: true,
};
const volume: VolumeMessage = {
  volumeId: 'id',
  name: 'v1',
  sizeBytes: 2 ** 50,
  blockBytes: 512,
  backend: 'file',
  allocatedBytes: 4096,
  createdUnixMs: 1,
  generation: 3,
  holder,
  sessionCount: 2,
};
const eventCount: EventCount = { event: 'e', count: LARGEST };
const node: NodeMessage = {
  nodeId: 'n',
  software: 's',
  backends: ['file', 'memory'],
  writeVerifier: 2n ** 64n - 1n,
  freeBytes: 1,
  totalBytes: 2,
  uptimeMs: 3,
  volumeCount: 4,
  sessionCount: 5,
  insecure: true,
  certificateValidToMs: 6,
  refusals: [eventCount],
  workerSessions: [7, 0],
};
const createRequest: CreateVolumeRequestMessage = {
  name: 'v1',
  sizeBytes: 1,
  blockBytes: 2,
  backend: 'b',
};
const createReply: CreateVolumeReplyMessage = { volume, existed: true };
const resize: ResizeVolumeRequestMessage = { name: 'v1', sizeBytes: 1, allowShrink: true };
const remove: DeleteVolumeRequestMessage = { name: 'v1', volumeId: 'id' };
const acquire: AcquireLeaseRequestMessage = {
  volumeId: 'id',
  attachmentId: 'a',
  description: 'd',
  expectedGeneration: 7,
  takeOver: true,
};
const lease: LeaseMessage = { generation: 1, volume, expiresAfterMs: 2 };
const release: ReleaseLeaseRequestMessage = { volumeId: 'id', attachmentId: 'a', generation: 9 };

const counters: CountersMessage = {
  readRequests: 1,
  readBytes: 2,
  writeRequests: 3,
  writeBytes: 4,
  flushRequests: 5,
  otherRequests: 6,
  failedRequests: 7,
  requestsInFlight: 8,
  bytesInFlight: 9,
  unflushedBytes: 10,
  reconnects: 11,
  requestsReplayed: 12,
  damagedSessions: 13,
};
const attachment: AttachmentMessage = {
  exportName: 'e',
  volume: 'v1',
  volumeId: 'id',
  node: 'n',
  attachmentId: 'a',
  readOnly: true,
  standby: true,
  generation: 1,
  state: 'holding',
  detail: 'the node is away',
  sizeBytes: 2,
  blockBytes: 3,
  uris: ['nbd://x'],
  clientCount: 4,
  counters,
  attachedUnixMs: 5,
  worker: 6,
  device: {
    path: '/dev/nbd3',
    link: '/dev/blkferry/e',
    major: 43,
    minor: 96,
    connections: 2,
    blockBytes: 512,
    liveConnections: 1,
  },
};
const attach: AttachRequestMessage = {
  volume: 'v1',
  node: 'n',
  exportName: 'e',
  readOnly: true,
  takeOver: true,
  standby: true,
  device: 'kernel',
  deviceConnections: 2,
  attachmentId: 'a',
  deviceBlockBytes: 512,
};
const attachReply: AttachReplyMessage = { attachment, existed: true, deviceProblem: 'p' };
const detach: DetachRequestMessage = {
  exportName: 'e',
  force: true,
  attachmentIds: ['a', 'b'],
  waitMs: 5,
};
const detachReply: DetachReplyMessage = { absent: true, discardedBytes: 1 };
const getAttachment: GetAttachmentRequestMessage = { exportName: 'e' };
const attachments: ListAttachmentsReplyMessage = { attachments: [attachment, attachment] };
const failNow: FailNowRequestMessage = { exportName: 'e' };
const failNowReply: FailNowReplyMessage = { requestsFailed: 1, attachment };
const retryNow: RetryNowRequestMessage = { exportName: 'e' };
const retryNowReply: RetryNowReplyMessage = { attachment };
const daemon: DaemonMessage = {
  version: '1',
  hostname: 'h',
  uptimeMs: 1,
  residentBytes: 2,
  attachmentCount: 3,
  nbdListeners: ['unix:/x'],
  defaultNode: 'n',
  deviceProblem: 'p',
  insecure: true,
  certificateValidToMs: 4,
  refusals: [eventCount],
  workers: 5,
};

/** Every message of the unary calls that has fields, by its full name. */
const SAMPLES: Readonly<Record<string, object>> = {
  'blkferry.storage.v1.Node': node,
  'blkferry.storage.v1.EventCount': eventCount,
  'blkferry.admin.v1.EventCount': eventCount,
  'blkferry.storage.v1.Volume': volume,
  'blkferry.storage.v1.LeaseHolder': holder,
  'blkferry.storage.v1.CreateVolumeRequest': createRequest,
  'blkferry.storage.v1.CreateVolumeReply': createReply,
  'blkferry.storage.v1.ListVolumesReply': { volumes: [volume] },
  'blkferry.storage.v1.GetVolumeRequest': { name: 'v1' },
  'blkferry.storage.v1.ResizeVolumeRequest': resize,
  'blkferry.storage.v1.DeleteVolumeRequest': remove,
  'blkferry.storage.v1.AcquireLeaseRequest': acquire,
  'blkferry.storage.v1.Lease': lease,
  'blkferry.storage.v1.ReleaseLeaseRequest': release,
  'blkferry.admin.v1.AttachRequest': attach,
  'blkferry.admin.v1.AttachReply': attachReply,
  'blkferry.admin.v1.DetachRequest': detach,
  'blkferry.admin.v1.DetachReply': detachReply,
  'blkferry.admin.v1.ListAttachmentsReply': attachments,
  'blkferry.admin.v1.GetAttachmentRequest': getAttachment,
  'blkferry.admin.v1.Attachment': attachment,
  'blkferry.admin.v1.Counters': counters,
  'blkferry.admin.v1.KernelDevice': attachment.device!,
  'blkferry.admin.v1.FailNowRequest': failNow,
  'blkferry.admin.v1.FailNowReply': failNowReply,
  'blkferry.admin.v1.RetryNowRequest': retryNow,
  'blkferry.admin.v1.RetryNowReply': retryNowReply,
  'blkferry.admin.v1.Daemon': daemon,
};

/** What the interfaces must have for a field: 64-bit identities are bigint, quantities are numbers. */
function kindOf(field: protobuf.Field): string {
  if (field.resolvedType instanceof protobuf.Type) return 'object';
  if (field.resolvedType instanceof protobuf.Enum || field.type === 'string') return 'string';
  if (field.type === 'bool') return 'boolean';
  return field.type === 'fixed64' ? 'bigint' : 'number';
}

describe('the interfaces of the messages', () => {
  for (const [name, sample] of Object.entries(SAMPLES)) {
    it(`agree with ${name} in names and kinds of fields`, () => {
      const { fieldsArray } = lookupType(name);
      const fields = fieldsArray.map((field) => [field.name, kindOf(field)]).sort();
      const properties = Object.entries(sample).map(([property, value]: [string, unknown]) => [
        property,
        typeof (Array.isArray(value) ? (value as unknown[])[0] : value),
      ]);
      assert.deepEqual(properties.sort(), fields);
      for (const field of fieldsArray) {
        const value: unknown = (sample as Record<string, unknown>)[field.name];
        assert.equal(Array.isArray(value), field.repeated, field.name);
      }
    });
  }

  it('cover every message with fields that a unary call takes or gives', () => {
    for (const service of ['blkferry.storage.v1.Storage', 'blkferry.admin.v1.Admin']) {
      for (const method of PROTO_ROOT.lookupService(service).methodsArray) {
        if (method.requestStream) continue;
        for (const type of [method.resolvedRequestType, method.resolvedResponseType]) {
          const name = type?.fullName.slice(1) ?? '';
          if (type !== null && type.fieldsArray.length > 0) assert.ok(name in SAMPLES, name);
        }
      }
    }
  });
});

describe('the message codec', () => {
  for (const [name, sample] of Object.entries(SAMPLES)) {
    it(`carries ${name} over the wire unchanged`, () => {
      const type = lookupType(name);
      assert.deepEqual(decodeMessage(type, encodeMessage(type, sample)), sample);
    });
  }

  it('writes what protobufjs writes', () => {
    const type = lookupType('blkferry.storage.v1.Lease');
    const naive = type.encode(type.fromObject(lease)).finish();
    assert.deepEqual(encodeMessage(type, lease), Buffer.from(naive));
  });

  it('gives fields that are not on the wire their default, and messages undefined', () => {
    assert.deepEqual(decodeMessage(lookupType('blkferry.admin.v1.Attachment'), Buffer.alloc(0)), {
      ...attachment,
      exportName: '',
      volume: '',
      volumeId: '',
      node: '',
      attachmentId: '',
      readOnly: false,
      standby: false,
      generation: 0,
      state: 'unspecified',
      detail: '',
      sizeBytes: 0,
      blockBytes: 0,
      uris: [],
      clientCount: 0,
      counters: undefined,
      attachedUnixMs: 0,
      worker: 0,
      device: undefined,
    });
    const none = encodeMessage(lookupType('blkferry.storage.v1.Volume'), {
      ...volume,
      holder: undefined,
    });
    const back = decodeMessage(lookupType('blkferry.storage.v1.Volume'), none) as VolumeMessage;
    assert.equal(back.holder, undefined);
  });

  it('takes the largest safe number and refuses one more, in both directions', () => {
    const type = lookupType('blkferry.storage.v1.ResizeVolumeRequest');
    const largest = type.encode(type.fromObject({ sizeBytes: '9007199254740991' })).finish();
    assert.equal((decodeMessage(type, largest) as ResizeVolumeRequestMessage).sizeBytes, LARGEST);
    const sentence = /ResizeVolumeRequest\.sizeBytes is 9007199254740992, beyond 2\^53 - 1/;
    const larger = type.encode(type.fromObject({ sizeBytes: '9007199254740992' })).finish();
    assert.throws(() => decodeMessage(type, larger), sentence);
    assert.throws(() => encodeMessage(type, { ...resize, sizeBytes: LARGEST + 1 }), sentence);
    assert.throws(() => encodeMessage(type, { ...resize, sizeBytes: -1 }), StorageError);
    assert.throws(() => encodeMessage(type, { ...resize, sizeBytes: 1.5 }), StorageError);
  });

  it('refuses bytes that are no message, and enum values that it does not know', () => {
    const type = lookupType('blkferry.admin.v1.Attachment');
    assert.throws(
      () => decodeMessage(type, Buffer.from([0x0a, 5, 1])),
      (error: unknown) =>
        error instanceof StorageError &&
        error.kind === 'invalid' &&
        error.message.startsWith('not a Attachment message'),
    );
    const unknown = type.encode(type.create({ state: 99 })).finish();
    assert.throws(() => decodeMessage(type, unknown), /AttachmentState has no value 99/);
  });

  it('names enum values by the rest of their name, both ways', () => {
    const states = PROTO_ROOT.lookupEnum('blkferry.admin.v1.AttachmentState');
    const names = Object.values(states.values).map((number) => enumString(states, number));
    assert.deepEqual(names, [
      'unspecified',
      'connecting',
      'active',
      'holding',
      'failing',
      'draining',
      'fenced',
    ]);
    assert.deepEqual(
      names.map((name) => enumNumber(states, name)),
      Object.values(states.values),
    );
    assert.throws(() => enumNumber(states, 'gone'), /AttachmentState has no value named gone/);
  });
});

describe('64-bit numbers', () => {
  it('keep all their bits as identities', () => {
    for (const value of [0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n])
      assert.equal(toBigInt(fromBigInt(value)), value);
  });

  it('are safe numbers as quantities, or refused', () => {
    assert.equal(toSafeNumber(fromBigInt(2n ** 53n - 1n), 'field'), LARGEST);
    for (const value of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])
      assert.throws(
        () => toSafeNumber(fromBigInt(value), 'the size'),
        /^StorageError: the size is \d+, beyond 2\^53 - 1/,
      );
  });
});

describe('the service definitions', () => {
  it('have every method of the .proto files under its path', () => {
    for (const [name, definition] of [
      ['blkferry.storage.v1.Storage', STORAGE_SERVICE],
      ['blkferry.admin.v1.Admin', ADMIN_SERVICE],
    ] as const) {
      const paths = Object.values(definition).map(({ path }) => path);
      const methods = PROTO_ROOT.lookupService(name).methodsArray;
      assert.deepEqual(
        paths,
        methods.map((method) => `/${name}/${method.name}`),
      );
    }
    const { requestStream, responseStream } = STORAGE_SERVICE['OpenSession'] ?? {};
    assert.deepEqual([requestStream, responseStream], [true, true]);
  });
});
