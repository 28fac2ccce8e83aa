/** What one session may carry in a turn of the event loop, so that others have theirs between. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  flushRequest,
  readRequest,
  writeRequest,
  type BlockRequest,
} from '#daemon/block/block-request.js';
import { REQUEST_BYTES_MAX } from '#daemon/block/device-facts.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { ReplyBatchFrame } from '#daemon/rpc/storage-messages.js';
import { NodeSession } from '#daemon/storage-node/node-session.js';
import { settle } from '#test/support/fake-clock.js';
import { MemoryDevice } from '#test/support/memory-catalog.js';

const MIB = 1024 * 1024;
const SIZE_BYTES = 4 * MIB;

/** A session whose next turns come when they are called. */
class Fixture {
  readonly frames: ReplyBatchFrame[] = [];
  readonly later: (() => void)[] = [];
  fenced: StorageError | undefined;
  broken: StorageError | undefined;
  readonly session: NodeSession;
  #sequence = 0;

  constructor() {
    this.session = new NodeSession({
      device: new MemoryDevice(Buffer.alloc(SIZE_BYTES), SIZE_BYTES, 512),
      readOnly: false,
      writeVerifier: 77n,
      limits: { requestsInFlightMax: 100, bytesInFlightMax: REQUEST_BYTES_MAX },
      leavesHolesOut: true,
      requireCurrent: () => {
        if (this.fenced !== undefined) throw this.fenced;
      },
      defer: (work) => this.later.push(work),
      broken: (reason) => {
        this.broken = reason;
      },
      send: (frame) => {
        this.frames.push(frame);
      },
      flushFailed: () => undefined,
    });
  }

  receive(...requests: BlockRequest[]): void {
    const sequences = requests.map(() => ++this.#sequence);
    this.session.receive({ kind: 'requests', sequences, requests });
  }

  async turn(): Promise<void> {
    await settle();
    this.later.shift()?.();
  }
}

describe('NodeSession with much to do', () => {
  function busy(): Fixture {
    const fixture = new Fixture();
    fixture.receive(...[0, 1, 2].map((at) => writeRequest(at * MIB, Buffer.alloc(MIB))));
    return fixture;
  }

  const answered = ({ frames }: Fixture): number[] =>
    frames.map(({ sequences }) => sequences.length);

  it('does a share of it in each turn, in order, and answers each', async () => {
    const fixture = busy();
    fixture.receive(writeRequest(0, Buffer.alloc(512)), flushRequest());
    assert.deepEqual(answered(fixture), [1]);
    assert.equal(fixture.later.length, 1);
    await fixture.turn();
    assert.deepEqual(answered(fixture), [1, 1]);
    await fixture.turn();
    await fixture.turn();
    assert.deepEqual(answered(fixture), [1, 1, 1, 2]);
    assert.equal(fixture.later.length, 0);
    const sequences = fixture.frames.flatMap((frame) => frame.sequences);
    assert.deepEqual(sequences, [1, 2, 3, 4, 5]);
  });

  it('does nothing more when another has the lease meanwhile, and says so', async () => {
    const fixture = busy();
    fixture.fenced = new StorageError('fenced', 'another writes');
    await fixture.turn();
    assert.equal(fixture.broken, fixture.fenced);
    assert.deepEqual(answered(fixture), [1]);
    assert.equal(fixture.later.length, 0);
  });

  it('does nothing more when it has ended meanwhile', async () => {
    const fixture = busy();
    fixture.session.end();
    await fixture.turn();
    assert.deepEqual(answered(fixture), [1]);
    assert.equal(fixture.broken, undefined);
  });

  it('does small requests all at once, however many', () => {
    const fixture = new Fixture();
    fixture.receive(...Array.from({ length: 64 }, (_, at) => readRequest(at * 4096, 4096)));
    assert.deepEqual(answered(fixture), [64]);
    assert.equal(fixture.later.length, 0);
  });
});
