/** Requests of the main thread in a worker: in their order, when there is room, and answered together. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BlockCompletion, PacedBlockDevice } from '#daemon/block/block-device.js';
import { DONE, readRequest, type BlockRequest } from '#daemon/block/block-request.js';
import { UNKNOWN_FACTS } from '#daemon/volume/volume-facts.js';
import { RequestRow } from '#daemon/workers/request-row.js';
import { toldRequest } from '#daemon/threads/told-request.js';

/** Has room for so many, and calls back whoever waits for some as soon as it has answered one. */
class NarrowDevice implements PacedBlockDevice {
  readonly facts = UNKNOWN_FACTS;
  readonly submitted: number[] = [];
  readonly #answers: (() => void)[] = [];
  #waiting: (() => void)[] = [];

  constructor(readonly room: number) {}

  submit<Request extends BlockRequest>(one: Request, complete: BlockCompletion<Request>): void {
    this.submitted.push(one.offsetBytes);
    this.#answers.push(() => {
      complete(one, DONE);
    });
  }

  hasRoom(): boolean {
    return this.#answers.length < this.room;
  }

  whenRoom(callback: () => void): void {
    this.#waiting.push(callback);
  }

  answer(): void {
    this.#answers.shift()?.();
    for (const wake of this.#waiting.splice(0)) wake();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function told(...offsets: number[]): ReturnType<typeof toldRequest>[] {
  return offsets.map((offsetBytes) => toldRequest(offsetBytes, readRequest(offsetBytes, 512)));
}

function rowOf(room: number): { row: RequestRow; device: NarrowDevice; said: number[][] } {
  const device = new NarrowDevice(room);
  const said: number[][] = [];
  const row = new RequestRow(device, (results) => {
    said.push(results.map(({ requestId }) => requestId));
  });
  return { row, device, said };
}

describe('requests that came from another thread', () => {
  it('are submitted in their order, and answered together at the end of the turn', async () => {
    const { row, device, said } = rowOf(10);
    row.take(told(1, 2, 3));
    assert.deepEqual(device.submitted, [1, 2, 3]);
    device.answer();
    device.answer();
    assert.deepEqual(said, []);
    await Promise.resolve();
    assert.deepEqual(said, [[1, 2]]);
  });

  it('wait for room, also those that come later', () => {
    const { row, device } = rowOf(2);
    row.take(told(1, 2, 3, 4));
    row.take(told(5));
    assert.deepEqual(device.submitted, [1, 2]);
    device.answer();
    assert.deepEqual(device.submitted, [1, 2, 3]);
    for (let left = 4; left > 0; left -= 1) device.answer();
    assert.deepEqual(device.submitted, [1, 2, 3, 4, 5], 'each once');
  });

  it('all go through where somebody says so, room or not', () => {
    const { row, device } = rowOf(1);
    row.take(told(1, 2, 3));
    row.letAllThrough();
    assert.deepEqual(device.submitted, [1, 2, 3]);
  });

  it('go once each where a submitted one makes room at once', () => {
    const { device, row } = rowOf(1);
    const submit = device.submit.bind(device);
    let depth = 0;
    device.submit = (one, complete) => {
      submit(one, complete);
      depth += 1;
      if (depth < 5) device.answer();
    };
    row.take(told(1, 2, 3, 4));
    assert.deepEqual(device.submitted, [1, 2, 3, 4]);
  });
});
