/** Goal: clients of one volume that want more than there is room for get it in turn, however much one of them wants. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readRequest } from '#daemon/block/block-request.js';
import type { Volume } from '#daemon/volume/volume.js';
import { openVolume, started } from './volume-bench.js';

/** As an NBD session does: takes all the room it needs, and waits for more. */
class GreedyClient {
  submittedCount = 0;

  constructor(
    readonly volume: Volume,
    public wantedCount: number,
  ) {
    this.#takeIn();
  }

  readonly #takeIn = (): void => {
    while (this.wantedCount > 0) {
      if (!this.volume.hasRoom()) {
        this.volume.whenRoom(this.#takeIn);
        return;
      }
      this.wantedCount -= 1;
      this.submittedCount += 1;
      started(this.volume, readRequest(0, 512));
    }
  };
}

describe('clients of one volume', () => {
  it('get room in turn, though the first wants all there is', async () => {
    const { volume, node } = await openVolume();
    node.hold();
    const greedy = new GreedyClient(volume, 100);
    const others = [1, 2, 3].map((wantedCount) => new GreedyClient(volume, wantedCount));
    const counts = (): number[] => others.map(({ submittedCount }) => submittedCount);
    const before = greedy.submittedCount;
    assert.ok(before > 0 && before < 100);
    assert.deepEqual(counts(), [0, 0, 0]);
    for (let answered = 0; answered < 4; answered += 1) node.answer(1);
    assert.deepEqual(counts(), [1, 1, 1]);
    assert.equal(greedy.submittedCount, before + 1);
    for (let answered = 0; answered < 5; answered += 1) node.answer(1);
    assert.deepEqual(counts(), [1, 2, 3]);
  });
});
