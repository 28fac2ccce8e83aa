/**
 * A session's rules, without gRPC: frames go in as values, replies come out as values, and the device
 * completes when the test says so.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockError } from '#daemon/block/block-error.js';
import {
  BLOCK_FLAG,
  DONE,
  flushRequest,
  rangeRequest,
  readRequest,
  writeRequest,
  type BlockRequest,
} from '#daemon/block/block-request.js';
import { REQUEST_BYTES_MAX } from '#daemon/block/device-facts.js';
import { zeroPiece } from '#daemon/block/zeroes.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { ReplyBatchFrame, RequestBatchFrame } from '#daemon/rpc/storage-messages.js';
import {
  NodeSession,
  REPLY_FRAME_BYTES_MAX,
  type NodeSessionOptions,
} from '#daemon/storage-node/node-session.js';
import { settle } from '#test/support/fake-clock.js';
import { MemoryDevice } from '#test/support/memory-catalog.js';
import { refusal } from '#test/support/storage-refusal.js';

const SIZE_BYTES = 4 * 1024 * 1024;
const BLOCK = Buffer.alloc(512, 0xa5);

class Fixture {
  readonly device = new MemoryDevice(Buffer.alloc(SIZE_BYTES), SIZE_BYTES, 512);
  readonly frames: ReplyBatchFrame[] = [];
  fenced: StorageError | undefined;
  flushFailures = 0;
  readonly session: NodeSession;
  #sequence = 0;

  constructor(options: Partial<NodeSessionOptions> = {}) {
    this.session = new NodeSession({
      device: this.device,
      readOnly: false,
      writeVerifier: 77n,
      limits: { requestsInFlightMax: 100, bytesInFlightMax: REQUEST_BYTES_MAX },
      leavesHolesOut: true,
      requireCurrent: () => {
        if (this.fenced !== undefined) throw this.fenced;
      },
      send: (frame) => {
        this.frames.push(frame);
      },
      flushFailed: () => {
        this.flushFailures += 1;
      },
      broken: () => undefined,
      ...options,
    });
  }

  /** Sequences go on from the last batch. */
  receive(...requests: BlockRequest[]): void {
    this.session.receive(this.batch(requests));
  }

  batch(requests: BlockRequest[], more: Partial<RequestBatchFrame> = {}): RequestBatchFrame {
    const sequences = requests.map(() => ++this.#sequence);
    return { kind: 'requests', sequences, requests, ...more };
  }

  /** Sequence and errno (or 'ok') of every reply so far. */
  get answers(): [number, string][] {
    return this.frames.flatMap(({ sequences, results }) =>
      sequences.map((sequence, index): [number, string] => [
        sequence,
        results[index]?.error?.errno ?? 'ok',
      ]),
    );
  }
}

describe('NodeSession: batches', () => {
  it('answers a batch that completes at once with one frame, before receive returns', () => {
    const fixture = new Fixture();
    fixture.receive(writeRequest(0, BLOCK), readRequest(0, 512), readRequest(512, 512));
    assert.equal(fixture.frames.length, 1);
    const [frame] = fixture.frames;
    assert.deepEqual(frame?.sequences, [1, 2, 3]);
    assert.deepEqual(frame.results[1]?.payload, [BLOCK]);
    assert.deepEqual(frame.results[2]?.payload, [Buffer.alloc(512)]);
  });

  it('answers what completes later in one frame per turn of the event loop', async () => {
    const fixture = new Fixture();
    fixture.device.hold();
    fixture.receive(readRequest(0, 512), readRequest(512, 512), readRequest(1024, 512));
    assert.equal(fixture.frames.length, 0);
    fixture.device.completeAt(2);
    fixture.device.completeAt(0);
    assert.equal(fixture.frames.length, 0);
    await settle();
    assert.deepEqual(
      fixture.frames.map(({ sequences }) => sequences),
      [[3, 1]],
    );
    fixture.device.completeNext();
    await settle();
    assert.deepEqual(fixture.frames.at(-1)?.sequences, [2]);
  });

  it('answers the first of the batches that come in one turn at once, then eight requests at a time', async () => {
    const fixture = new Fixture();
    for (let batch = 0; batch < 6; batch += 1)
      fixture.receive(readRequest(0, 512), readRequest(512, 512), readRequest(1024, 512));
    const sent = (): (readonly number[])[] => fixture.frames.map(({ sequences }) => sequences);
    assert.deepEqual(sent(), [
      [1, 2, 3],
      [4, 5, 6, 7, 8, 9, 10, 11, 12],
    ]);
    await settle();
    assert.deepEqual(sent().slice(2), [[13, 14, 15, 16, 17, 18]]);
    fixture.receive(readRequest(0, 512));
    assert.deepEqual(sent().slice(3), [[19]], 'a new turn');
  });

  it('answers what is left of a turn when the session ends in it', () => {
    const fixture = new Fixture();
    for (let batch = 0; batch < 3; batch += 1) fixture.receive(readRequest(0, 512));
    assert.equal(fixture.answers.length, 1);
    fixture.session.end();
    assert.deepEqual(
      fixture.answers.map(([sequence]) => sequence),
      [1, 2, 3],
    );
  });

  it('closes a reply frame when it is full, and begins the next', () => {
    const fixture = new Fixture();
    const half = REPLY_FRAME_BYTES_MAX / 2;
    fixture.receive(
      readRequest(0, half - 512),
      readRequest(0, 512),
      readRequest(0, half),
      readRequest(0, 512),
    );
    assert.deepEqual(
      fixture.frames.map(({ sequences }) => sequences),
      [[1, 2, 3], [4]],
    );
  });

  it('counts of a hole that is left out what it costs, not what it stands for', () => {
    for (const [leavesHolesOut, frames] of [
      [true, [[1, 2, 3]]],
      [false, [[1], [2], [3]]],
    ] as const) {
      const fixture = new Fixture({ leavesHolesOut });
      const bytes = REPLY_FRAME_BYTES_MAX;
      fixture.device.submit = (request, complete) => {
        complete(request, { ...DONE, payload: [zeroPiece(bytes)] });
      };
      fixture.receive(readRequest(0, bytes), readRequest(0, bytes), readRequest(0, bytes));
      assert.deepEqual(
        fixture.frames.map(({ sequences }) => sequences),
        frames,
      );
      assert.ok(fixture.frames.every((frame) => frame.leavesHolesOut === leavesHolesOut));
    }
  });

  it('refuses single requests with their errno and goes on', () => {
    const fixture = new Fixture();
    fixture.receive(
      writeRequest(SIZE_BYTES, BLOCK),
      readRequest(1, 512),
      readRequest(0, REQUEST_BYTES_MAX * 2),
      readRequest(2 ** 52, 512),
      writeRequest(0, BLOCK),
    );
    assert.deepEqual(fixture.answers, [
      [1, 'ENOSPC'],
      [2, 'EINVAL'],
      [3, 'EINVAL'],
      [4, 'EINVAL'],
      [5, 'ok'],
    ]);
    assert.equal(fixture.device.submitted.length, 1);
  });

  it('lets a read-only session read and nothing else', () => {
    const fixture = new Fixture({ readOnly: true });
    assert.equal(fixture.session.facts.capabilities.canWrite, false);
    fixture.receive(
      readRequest(0, 512),
      flushRequest(),
      writeRequest(0, BLOCK),
      rangeRequest('trim', 0, 512),
      rangeRequest('write-zeroes', 0, 512),
    );
    assert.deepEqual(
      fixture.answers.map(([, outcome]) => outcome),
      ['ok', 'ok', 'EPERM', 'EPERM', 'EPERM'],
    );
  });

  it('uses the new size as soon as the volume is resized', async () => {
    const fixture = new Fixture();
    await fixture.device.resize(SIZE_BYTES / 2);
    fixture.receive(writeRequest(SIZE_BYTES / 2, BLOCK), writeRequest(0, BLOCK));
    assert.deepEqual(fixture.answers, [
      [1, 'ENOSPC'],
      [2, 'ok'],
    ]);
  });
});

describe('NodeSession: broken rules', () => {
  it('ends on a sequence that does not rise, and executes nothing of that batch', () => {
    for (const sequences of [
      [5, 5],
      [5, 4],
    ]) {
      const fixture = new Fixture();
      const batch = fixture.batch([writeRequest(0, BLOCK), writeRequest(512, BLOCK)], {
        sequences,
      });
      assert.throws(
        () => {
          fixture.session.receive(batch);
        },
        refusal('invalid', /request [45] came after request 5: sequences must rise/),
      );
      assert.equal(fixture.device.submitted.length, 0);
    }
  });

  it('ends on a sequence of an earlier batch', () => {
    const fixture = new Fixture();
    fixture.receive(readRequest(0, 512));
    assert.throws(
      () => {
        fixture.session.receive(fixture.batch([readRequest(0, 512)], { sequences: [1] }));
      },
      refusal('invalid', /must rise/),
    );
  });

  it('takes as many requests as may be unanswered, and ends on one more', () => {
    const fixture = new Fixture({
      limits: { requestsInFlightMax: 3, bytesInFlightMax: REQUEST_BYTES_MAX },
    });
    fixture.device.hold();
    fixture.receive(flushRequest(), flushRequest());
    fixture.receive(flushRequest());
    fixture.device.completeNext();
    fixture.receive(flushRequest());
    assert.throws(
      () => {
        fixture.receive(flushRequest());
      },
      refusal('exhausted', /more than 3 requests/),
    );
  });

  it('takes as many bytes as may be unanswered, and ends on one block more', () => {
    const fixture = new Fixture({ limits: { requestsInFlightMax: 100, bytesInFlightMax: 1024 } });
    fixture.device.hold();
    fixture.receive(readRequest(0, 512), writeRequest(0, BLOCK));
    assert.throws(
      () => {
        fixture.receive(readRequest(0, 512));
      },
      refusal('exhausted', /1024 bytes are unanswered/),
    );
  });

  it('takes a single request of any allowed length', () => {
    const fixture = new Fixture({ limits: { requestsInFlightMax: 100, bytesInFlightMax: 1024 } });
    fixture.receive(readRequest(0, 4096));
    assert.deepEqual(fixture.answers, [[1, 'ok']]);
  });
});

describe('NodeSession: durability', () => {
  it('says its write verifier with every flush and FUA, and only then', async () => {
    const fixture = new Fixture();
    const fua = writeRequest(0, BLOCK, BLOCK_FLAG.FUA);
    for (const request of [writeRequest(0, BLOCK), flushRequest(), fua, readRequest(0, 512)]) {
      fixture.receive(request);
      await settle();
    }
    assert.deepEqual(
      fixture.frames.map(({ writeVerifier }) => writeVerifier),
      [0n, 77n, 77n, 0n],
    );
  });

  it('gives a flush to the device only when every earlier change of the session has completed', () => {
    const fixture = new Fixture();
    fixture.device.hold();
    fixture.receive(writeRequest(0, BLOCK), flushRequest(), writeRequest(512, BLOCK));
    const kinds = (): string[] => fixture.device.submitted.map(({ kind }) => kind);
    assert.deepEqual(kinds(), ['write', 'write']);
    fixture.device.completeAt(1);
    assert.deepEqual(kinds(), ['write', 'write']);
    fixture.device.completeNext();
    assert.deepEqual(kinds(), ['write', 'write', 'flush']);
  });

  it('reports a failed flush or FUA, which the client hears as an error', async () => {
    const fixture = new Fixture();
    fixture.device.flushError = new BlockError('EIO', 'bad disk');
    fixture.receive(writeRequest(0, BLOCK));
    assert.equal(fixture.flushFailures, 0);
    fixture.receive(flushRequest(), writeRequest(0, BLOCK, BLOCK_FLAG.FUA));
    assert.equal(fixture.flushFailures, 2);
    await settle();
    assert.deepEqual(fixture.answers.slice(1), [
      [2, 'EIO'],
      [3, 'EIO'],
    ]);
  });

  it('does not take a write with FUA that had no room for a failed flush', () => {
    const fixture = new Fixture();
    fixture.device.writeError = new BlockError('ENOSPC', 'no space');
    fixture.receive(writeRequest(0, BLOCK, BLOCK_FLAG.FUA));
    assert.deepEqual(fixture.answers, [[1, 'ENOSPC']]);
    assert.equal(fixture.flushFailures, 0);
  });
});

describe('NodeSession: the end', () => {
  it('executes nothing of a batch that comes after another writer has the volume', () => {
    const fixture = new Fixture();
    fixture.receive(writeRequest(0, BLOCK));
    fixture.fenced = new StorageError('fenced', 'taken over');
    assert.throws(
      () => {
        fixture.receive(writeRequest(512, BLOCK), readRequest(0, 512));
      },
      refusal('fenced', /taken over/),
    );
    assert.equal(fixture.device.submitted.length, 1);
  });

  it('sends what has completed when it ends, and nothing afterwards', async () => {
    const fixture = new Fixture();
    fixture.device.hold();
    fixture.receive(writeRequest(0, BLOCK), writeRequest(512, BLOCK));
    fixture.device.completeNext();
    fixture.session.end();
    assert.deepEqual(fixture.answers, [[1, 'ok']]);
    fixture.device.completeNext();
    fixture.receive(writeRequest(1024, BLOCK));
    await settle();
    assert.deepEqual(fixture.answers, [[1, 'ok']]);
    assert.equal(fixture.device.submitted.length, 2);
  });

  it('is idle when the device has completed everything, and drops flushes that wait', async () => {
    const fixture = new Fixture();
    fixture.device.hold();
    fixture.receive(writeRequest(0, BLOCK), flushRequest());
    let idle = false;
    const whenIdle = fixture.session.whenIdle().then(() => {
      idle = true;
    });
    fixture.session.end();
    await settle();
    assert.equal(idle, false);
    fixture.device.completeNext();
    await whenIdle;
    assert.deepEqual(
      fixture.device.submitted.map(({ kind }) => kind),
      ['write'],
    );
  });

  it('tells when everything received is answered, also when it ends before', async () => {
    const fixture = new Fixture();
    await fixture.session.whenAnswered();
    fixture.device.hold();
    fixture.receive(readRequest(0, 512));
    const answered = fixture.session.whenAnswered().then(() => fixture.answers.length);
    fixture.device.completeNext();
    assert.equal(await answered, 1);
    fixture.receive(readRequest(0, 512));
    const ended = fixture.session.whenAnswered();
    fixture.session.end();
    await ended;
  });
});
