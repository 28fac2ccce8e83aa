/**
 * A node that lies: each lie ends its session with a sentence, is answered to nobody, costs nobody else anything, and is
 * over when the node tells the truth again.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import {
  DONE,
  joined,
  readRequest,
  writeRequest,
  type BlockRequest,
} from '#daemon/block/block-request.js';
import { REQUEST_BYTES_MAX } from '#daemon/block/device-facts.js';
import { zeroPiece } from '#daemon/block/zeroes.js';
import { MESSAGE_BYTES_MAX } from '#daemon/rpc/channel-options.js';
import type { ReplyBatchFrame } from '#daemon/rpc/storage-messages.js';
import { attachRequest } from '#test/support/attach-request.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack } from './fault-stack.js';
import { waitFor } from './fault-table.js';
import { LYING_BYTES, LyingNode, type Lie } from './lying-node.js';

const READ_BYTES = 4096;
const READ = readRequest(0, READ_BYTES);
const WRITE = writeRequest(0, Buffer.alloc(READ_BYTES, 8));

/** The same for each answer. */
function withPayload(bytes: number): Lie {
  return {
    answering: (replies) => [
      {
        ...replies,
        results: replies.results.map(() => ({ ...DONE, payload: [Buffer.alloc(bytes)] })),
      },
    ],
  };
}

/** Each answer is holes of these lengths. */
function withHoles(...lengths: readonly number[]): Lie {
  return {
    answering: (replies) => [
      {
        ...replies,
        results: replies.results.map(() => ({ ...DONE, payload: lengths.map(zeroPiece) })),
        leavesHolesOut: true,
      },
    ],
  };
}

function numbered(replies: ReplyBatchFrame, by: number): ReplyBatchFrame {
  return { ...replies, sequences: replies.sequences.map((one) => one + by) };
}

/** A reply frame whose only field says that it is longer than any may be, and is. */
function hugeFrame(): Buffer {
  return Buffer.alloc(MESSAGE_BYTES_MAX + 1);
}

interface Case {
  readonly name: string;
  readonly lie: Lie;
  readonly sentence: RegExp;
  /** By default a read. */
  readonly request?: BlockRequest;
}

const CASES: readonly Case[] = [
  {
    name: 'a read is answered with less than was asked',
    lie: withPayload(512),
    sentence: /the node answered a read of 4096 bytes with 512 bytes of data/,
  },
  {
    name: 'a read is answered with more',
    lie: withPayload(8192),
    sentence: /the node answered a read of 4096 bytes with 8192 bytes of data/,
  },
  {
    name: 'a write is answered with data',
    lie: withPayload(4096),
    request: WRITE,
    sentence: /the node answered a write of 4096 bytes with 4096 bytes of data/,
  },
  {
    name: 'a read is answered with a hole that is longer',
    lie: withHoles(LYING_BYTES),
    sentence: /the node answered a read of 4096 bytes with 1048576 bytes of data/,
  },
  {
    name: 'a read is answered with a hole that is shorter',
    lie: withHoles(4095),
    sentence: /the node answered a read of 4096 bytes with 4095 bytes of data/,
  },
  {
    name: 'a read is answered with more holes than any has room for',
    lie: withHoles(REQUEST_BYTES_MAX, 1),
    sentence: /a reply batch holds a read whose extents do not fit it/,
  },
  {
    name: 'a write is answered with a hole',
    lie: withHoles(4096),
    request: WRITE,
    sentence: /the node answered a write of 4096 bytes with 4096 bytes of data/,
  },
  {
    name: 'what was not asked is answered',
    lie: { answering: (replies) => [numbered(replies, 1000)] },
    sentence: /the node answered request \d+, which was not asked/,
  },
  {
    name: 'a request is answered twice',
    lie: { answering: (replies) => [replies, replies] },
    sentence: /the node answered request \d+, which was not asked/,
  },
  {
    name: 'another volume is opened',
    lie: {
      opening: (opened) => [{ ...opened, volume: { ...opened.volume, volumeId: 'another' } }],
    },
    sentence: /the node opened volume another and not id-of-v1, which was asked for/,
  },
  {
    name: 'no request is ever taken',
    lie: { opening: (opened) => [{ ...opened, requestsInFlightMax: 0 }] },
    sentence: /the node takes 0 requests at a time, of 1048576 bytes/,
  },
  {
    name: 'a session is opened twice',
    lie: { opening: (opened) => [opened, opened] },
    sentence: /the node opened the session twice/,
  },
  {
    name: 'requests are answered before the session is open',
    lie: {
      opening: (opened) => [
        { kind: 'replies', sequences: [1], results: [DONE], writeVerifier: 0n },
        opened,
      ],
    },
    sentence: /the node answered requests before it opened the session/,
  },
  {
    name: 'the volume has a size that cannot be',
    lie: {
      opening: (opened) => [{ ...opened, volume: { ...opened.volume, sizeBytes: 1000 } }],
    },
    sentence: /the node says that the volume has 1000 bytes in blocks of 512/,
  },
  {
    name: 'a frame is no frame',
    lie: { answering: () => [Buffer.from('ffffffffff', 'hex')] },
    sentence: /frame/,
  },
  {
    name: 'a frame is longer than any may be',
    lie: { answering: () => [hugeFrame()] },
    sentence: /sent a message of \d+ bytes, at most \d+ are taken/,
  },
];

describe('a node that lies', () => {
  const folder = temporaryFolder();
  let stack: FaultStack;
  let node: LyingNode;

  before(async () => {
    stack = await FaultStack.start(folder, 1024 * 1024, {
      daemon: { BLKFERRY_CHECKSUM: 'off', BLKFERRY_READ_AHEAD: '0' },
    });
    node = await LyingNode.at(`unix:${path.join(folder, 'lying.sock')}`);
    await stack.daemon.admin.attach(attachRequest('lying', { node: node.address }));
  });
  after(async () => {
    node.lie = {};
    node.stop();
    await stack.stop();
  });

  for (const { name, lie, sentence, request = READ } of CASES) {
    it(name, async () => {
      const good = await stack.daemon.connect('v1');
      const client = await stack.daemon.connect('lying');
      await submitAsync(client, READ);
      node.content.fill(7);
      node.lie = lie;
      if (lie.opening !== undefined) node.endSessions();
      const asked = submitAsync(client, request);
      const status = async (): Promise<{ state: string; detail: string }> =>
        stack.daemon.admin.getAttachment('lying');
      let heard = '';
      await waitFor(
        async () => {
          const { state, detail } = await status();
          if (state === 'holding') heard = detail;
          return sentence.test(heard);
        },
        `the sentence ${String(sentence)}`,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}; it says: ${heard}`);
      });
      const begunMs = performance.now();
      await submitAsync(good, READ);
      assert.ok(performance.now() - begunMs < 5000, 'another volume is served');
      node.lie = {};
      const payload = joined((await asked).payload);
      assert.equal(payload.length, request.kind === 'read' ? READ_BYTES : 0);
      assert.ok(payload.every((byte) => byte === 7));
      await waitFor(async () => (await status()).state === 'active', 'it is active again');
      await client.close();
      await good.close();
    });
  }
});
