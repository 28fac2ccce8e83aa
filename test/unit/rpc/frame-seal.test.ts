/**
 * The checksum of a frame, held against a second implementation made from storage.proto alone: protobufjs
 * serializes the frame without its checksum, a bit-by-bit CRC-32C goes over that. Then what it is for: a
 * frame that was changed, lost, doubled or brought to another session does not fit.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import {
  DONE,
  failed,
  flushRequest,
  readRequest,
  writeRequest,
} from '#daemon/block/block-request.js';
import { FrameSeals, OPENING_SEAL, checkOpeningSeal, checkSeal } from '#daemon/rpc/frame-seal.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import {
  decodeClientFrame,
  decodeNodeFrame,
  encodeClientFrame,
  encodeNodeFrame,
} from '#daemon/rpc/storage-frame.js';
import type { ClientFrame, NodeFrame } from '#daemon/rpc/storage-messages.js';
import { CLIENT, NODE, bytesOf } from '#test/support/frame-bytes.js';
import { refusal } from '#test/support/storage-refusal.js';

const SEAL = 0x89ab_cdef;

const REQUESTS: ClientFrame = {
  kind: 'requests',
  sequences: [3, 9, 12],
  requests: [
    writeRequest(8192, [Buffer.alloc(40, 1), Buffer.alloc(24, 2)]),
    readRequest(4096, 512),
    flushRequest(),
  ],
  seal: SEAL,
};
const OPEN: ClientFrame = {
  kind: 'open',
  volumeId: 'volume-1',
  attachmentId: 'a',
  generation: 9,
  streamIndex: 0,
  checksum: 'crc32c',
  takesHoles: true,
  seal: OPENING_SEAL,
};
const REPLIES: NodeFrame = {
  kind: 'replies',
  sequences: [3, 9, 12, 13],
  results: [
    DONE,
    { ...DONE, payload: [Buffer.alloc(48, 7)] },
    failed(new BlockError('EIO', 'bad disk')),
    { ...DONE, extents: [{ lengthBytes: 512, hole: true, zero: true }] },
  ],
  writeVerifier: 77n,
  seal: SEAL,
};
const OPENED: NodeFrame = {
  kind: 'opened',
  writeVerifier: 5n,
  volume: {
    ...{ volumeId: 'volume-1', name: 'v1', sizeBytes: 2 ** 40, blockBytes: 512, backend: 'file' },
    ...{ allocatedBytes: 1, createdUnixMs: 2, generation: 9, holder: undefined, sessionCount: 1 },
  },
  capabilities: {
    ...{ canWrite: true, fua: 'emulated', canTrim: true, canFastZero: true, canBlockStatus: true },
  },
  ...{ preferredBytes: 4096, requestBytesMax: 1024, checksum: 'crc32c', frameSalt: 0xfedc_ba98 },
  ...{ requestsInFlightMax: 5, bytesInFlightMax: 6, seal: OPENING_SEAL },
};
const FRAMES: readonly (readonly [
  name: string,
  bytes: Buffer,
  type: typeof CLIENT,
  seal: number,
])[] = [
  ['requests', bytesOf(encodeClientFrame(REQUESTS)), CLIENT, SEAL],
  ['open', bytesOf(encodeClientFrame(OPEN)), CLIENT, OPENING_SEAL],
  ['ping', bytesOf(encodeClientFrame({ kind: 'ping', number: 5, seal: SEAL })), CLIENT, SEAL],
  ['replies', bytesOf(encodeNodeFrame(REPLIES)), NODE, SEAL],
  ['opened', bytesOf(encodeNodeFrame(OPENED)), NODE, OPENING_SEAL],
  ['pong', bytesOf(encodeNodeFrame({ kind: 'pong', number: 5, seal: SEAL })), NODE, SEAL],
  [
    'resized',
    bytesOf(encodeNodeFrame({ kind: 'resized', sizeBytes: 4096, seal: SEAL })),
    NODE,
    SEAL,
  ],
];

/** RFC 3720, bit by bit. */
function naiveCrc32c(bytes: Buffer): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ ((crc & 1) === 1 ? 0x82f6_3b78 : 0);
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}

function decode(type: typeof CLIENT, bytes: Buffer): ClientFrame | NodeFrame {
  return type === CLIENT ? decodeClientFrame(bytes) : decodeNodeFrame(bytes);
}

describe('the checksum of a frame', () => {
  it('is compared with a CRC-32C that is right', () => {
    assert.equal(naiveCrc32c(Buffer.alloc(32)), 0x8a91_36aa);
    assert.equal(naiveCrc32c(Buffer.alloc(32, 0xff)), 0x62a8_ab43);
  });

  for (const [name, bytes, type, seal] of FRAMES) {
    it(`of ${name} is what another implementation makes of storage.proto`, () => {
      const message = type.toObject(type.decode(bytes), { longs: String, bytes: Buffer });
      const { checksum, ...rest } = message;
      const without = Buffer.from(type.encode(type.fromObject(rest)).finish());
      assert.equal(checksum, (naiveCrc32c(without) ^ seal) >>> 0);
      assert.deepEqual(Buffer.from(type.encode(type.fromObject(message)).finish()), bytes);
      assert.equal(decode(type, bytes).seal, seal);
    });

    it(`of ${name} does not fit when any single bit of the frame is flipped`, () => {
      for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
        const changed = Buffer.from(bytes);
        changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        try {
          assert.notEqual(decode(type, changed).seal, seal, `bit ${bit}`);
        } catch (error) {
          assert.ok(error instanceof StorageError, `bit ${bit}: ${String(error)}`);
          assert.equal(error.kind, 'invalid');
        }
      }
    });

    it(`of ${name} does not fit when bytes are left out or put in`, () => {
      for (let at = 0; at < bytes.length; at += 1) {
        for (const changed of [
          Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]),
          Buffer.concat([bytes.subarray(0, at), Buffer.from([0x5a]), bytes.subarray(at)]),
        ]) {
          try {
            assert.notEqual(decode(type, changed).seal, seal, `byte ${at}`);
          } catch (error) {
            assert.ok(error instanceof StorageError, `byte ${at}: ${String(error)}`);
          }
        }
      }
    });
  }

  it('is absent where none was agreed on, and its absence is seen', () => {
    const bytes = bytesOf(encodeClientFrame({ kind: 'ping', number: 5 }));
    assert.equal(bytes.length, 9);
    assert.deepEqual(decodeClientFrame(bytes), { kind: 'ping', number: 5 });
  });

  it('is the end of a frame', () => {
    const bytes = bytesOf(encodeClientFrame({ kind: 'ping', number: 5, seal: 1 }));
    const longer = Buffer.concat([bytes, Buffer.from([0x48, 1])]);
    assert.throws(
      () => decodeClientFrame(longer),
      refusal('invalid', /goes on behind its checksum/),
    );
  });
});

describe('the seals of a direction', () => {
  const sealed = (seal: number): { seal: number } => ({ seal });

  it('fit frame by frame, also where they begin anew at 2^32', () => {
    for (const salt of [0, 17, 2 ** 32 - 2]) {
      const sender = new FrameSeals(salt);
      const receiver = new FrameSeals(salt);
      for (let count = 0; count < 5; count += 1) {
        const seal = sender.next();
        assert.ok(Number.isInteger(seal) && seal >= 0 && seal < 2 ** 32);
        checkSeal(receiver, sealed(seal));
      }
    }
  });

  it('find a frame that was lost, doubled, brought to another session, or without a checksum', () => {
    const cases: readonly (readonly number[])[] = [[2], [1, 1], [1, 3], [101]];
    for (const numbers of cases) {
      const receiver = new FrameSeals(1000);
      assert.throws(
        () => {
          for (const number of numbers) checkSeal(receiver, sealed(1000 + number));
        },
        refusal('damaged', /frame \d does not fit its checksum/),
      );
    }
    assert.throws(
      () => {
        checkSeal(new FrameSeals(1000), {});
      },
      refusal('damaged', /frame 1/),
    );
  });

  it('refuse a checksum that was not agreed on', () => {
    checkSeal(undefined, {});
    assert.throws(
      () => {
        checkSeal(undefined, sealed(1));
      },
      refusal('invalid', /none was agreed on/),
    );
  });

  it('begin with frames that have none yet', () => {
    checkOpeningSeal(true, sealed(OPENING_SEAL));
    checkOpeningSeal(false, {});
    for (const [hasChecksum, frame] of [
      [true, {}],
      [true, sealed(1)],
      [false, sealed(0)],
    ] as const) {
      assert.throws(
        () => {
          checkOpeningSeal(hasChecksum, frame);
        },
        refusal('damaged', /first frame/),
      );
    }
  });
});
