/**
 * Goal: the checker's model allows what the promises allow, and nothing else. Method: histories of one
 * block, told event by event.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ExpectedContent,
  type Change,
  type ChangeKind,
} from '#daemon/cli/selftest/expected-content.js';
import { STAMP_BYTES, Stamps, type BlockContent } from '#daemon/cli/selftest/stamp.js';

const ZEROES: BlockContent = { kind: 'zeroes' };

/** One block, and changes of it on two connections. */
class Story {
  readonly content = new ExpectedContent(4);

  begin(connection = 1, kind: ChangeKind = 'write', fua = false): Change {
    return this.content.begin({ kind, firstBlock: 0, blockCount: 1, connection, fua });
  }

  written(connection = 1): Change {
    const change = this.begin(connection);
    this.content.answered(change);
    return change;
  }

  flush(): void {
    this.content.flushAnswered(this.content.flushBegun());
  }

  /** What is wrong with a read that begins now. */
  read(found: Change | BlockContent): string | undefined {
    const content: BlockContent =
      'serial' in found && 'outcome' in found
        ? { kind: 'stamp', block: 0, serial: found.serial }
        : found;
    const begunAt = this.content.readBegun();
    const problem = this.content.problemOf(0, content, begunAt);
    this.content.readEnded(begunAt);
    return problem;
  }
}

describe('what a block may hold', () => {
  it('is zeroes at first, and the last answered write afterwards', () => {
    const story = new Story();
    assert.equal(story.read(ZEROES), undefined);
    const first = story.written();
    assert.match(story.read(ZEROES) ?? '', /which is older; the last promise was write/);
    assert.equal(story.read(first), undefined);
    const second = story.written();
    assert.match(story.read(first) ?? '', /which is older/);
    assert.equal(story.read(second), undefined);
    assert.match(story.read(first) ?? '', /something newer had been read already/);
  });

  it('is either of two while a write is unanswered, but not the old one again once the new was seen', () => {
    const story = new Story();
    const old = story.written();
    const next = story.begin();
    assert.equal(story.read(old), undefined);
    assert.equal(story.read(next), undefined);
    assert.match(story.read(old) ?? '', /something newer had been read already/);
  });

  it('is either of two writes that were under way together on two connections, and stays what was seen', () => {
    const story = new Story();
    const left = story.begin(1);
    const right = story.begin(2);
    story.content.answered(left);
    story.content.answered(right);
    assert.equal(story.read(left), undefined);
    assert.match(story.read(right) ?? '', /something newer had been read already/);
  });

  it('follows the order of one connection', () => {
    const story = new Story();
    const first = story.begin(1);
    const second = story.begin(1);
    story.content.answered(second);
    story.content.answered(first);
    assert.match(story.read(first) ?? '', /which is older/);
    assert.equal(story.read(second), undefined);
  });

  it('may be a write that was given up, at any later moment, until something else is written', () => {
    const story = new Story();
    const old = story.written();
    const lost = story.begin();
    story.content.doubtful(lost);
    assert.equal(story.read(old), undefined);
    assert.equal(story.read(lost), undefined);
    assert.match(story.read(old) ?? '', /something newer/);
  });

  it('is never a write that was given up before the last answered one was submitted', () => {
    const story = new Story();
    const lost = story.begin(1);
    story.content.doubtful(lost);
    const newer = story.written(2);
    assert.match(story.read(lost) ?? '', /which is older/);
    assert.equal(story.read(newer), undefined);
  });

  it('after a trim is zeroes or as before, after write-zeroes zeroes only', () => {
    const story = new Story();
    const before = story.written();
    story.content.answered(story.begin(1, 'trim'));
    assert.equal(story.read(before), undefined);
    assert.equal(story.read(ZEROES), undefined);
    const again = story.written();
    story.content.answered(story.begin(1, 'write-zeroes'));
    assert.match(story.read(again) ?? '', /which is older/);
    assert.equal(story.read(ZEROES), undefined);
  });

  it('is judged by what was answered before the read began', () => {
    const story = new Story();
    const old = story.written();
    const begunAt = story.content.readBegun();
    story.written();
    const content: BlockContent = { kind: 'stamp', block: 0, serial: old.serial };
    assert.equal(story.content.problemOf(0, content, begunAt), undefined);
  });

  it('keeps its rules over many writes while an old read is under way', () => {
    const story = new Story();
    const old = story.written();
    story.flush();
    const begunAt = story.content.readBegun();
    for (let count = 0; count < 40; count += 1) {
      story.written();
      story.flush();
    }
    const content: BlockContent = { kind: 'stamp', block: 0, serial: old.serial };
    assert.equal(story.content.problemOf(0, content, begunAt), undefined);
    assert.match(story.read(old) ?? '', /which is older/);
  });
});

describe('what is durable', () => {
  it('is what was answered before a flush began, and what had FUA', () => {
    const story = new Story();
    const first = story.written();
    const begunAt = story.content.flushBegun();
    const second = story.written();
    story.content.flushAnswered(begunAt);
    assert.deepEqual([first.durable, second.durable], [true, false]);
    const third = story.begin(1, 'write', true);
    story.content.answered(third);
    assert.equal(third.durable, true);
    assert.equal(story.content.unflushedCount, 1);
  });

  it('outlives the loss of everything volatile; the rest may be there or not', () => {
    const story = new Story();
    const older = story.written();
    const durable = story.written();
    story.flush();
    const volatile = story.written();
    assert.equal(story.read(volatile), undefined);
    story.content.volatileLost();
    assert.match(story.read(older) ?? '', /which is older/);
    assert.equal(story.read(durable), undefined);
    assert.equal(story.read(volatile), undefined, 'sent again later');
    const other = new Story();
    const kept = other.written();
    other.content.volatileLost();
    assert.equal(other.read(kept), undefined);
    assert.match(other.read(ZEROES) ?? '', /something newer/);
  });
});

describe('a stamped block', () => {
  const stamps = new Stamps('volume 1');
  const [block] = [stamps.blocks(7, 2, 42)];

  it('says which block and which write it is', () => {
    const second = block.subarray(STAMP_BYTES);
    assert.deepEqual(stamps.read(second), { kind: 'stamp', block: 8, serial: 42 });
    assert.deepEqual(stamps.read(Buffer.alloc(STAMP_BYTES)), ZEROES);
  });

  it('is strange when a bit is flipped, half is another write, or another volume wrote it', () => {
    for (const at of [3, 20, 30, 35, 100, 4095]) {
      const damaged = Buffer.from(block.subarray(0, STAMP_BYTES));
      damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
      assert.equal(stamps.read(damaged).kind, 'strange', `byte ${at}`);
    }
    const torn = Buffer.from(block.subarray(0, STAMP_BYTES));
    stamps.blocks(7, 1, 43).copy(torn, 0, 0, 512);
    assert.equal(stamps.read(torn).kind, 'strange');
    const foreign = new Stamps('volume 2').blocks(7, 1, 42);
    assert.match(JSON.stringify(stamps.read(foreign)), /another volume/);
  });

  it('in the wrong place is a broken promise', () => {
    const story = new Story();
    const moved: BlockContent = { kind: 'stamp', block: 3, serial: 1 };
    assert.match(story.read(moved) ?? '', /holds what was written to block 3/);
  });
});
