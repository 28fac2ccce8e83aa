/** Who waits behind a request that takes several turns. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RequestLine } from '#daemon/storage-node/backend/file/request-line.js';

/** Work of so many steps that writes into a log when it is done. */
function stepsOf(line: RequestLine, log: string[], name: string, steps: number): () => void {
  return () => {
    let left = steps;
    line.run(
      () => {
        left -= 1;
        return left === 0;
      },
      () => log.push(name),
    );
  };
}

describe('RequestLine', () => {
  it('begins and ends work of one step at once', () => {
    const line = new RequestLine();
    const log: string[] = [];
    line.enter(stepsOf(line, log, 'a', 1));
    assert.deepEqual(log, ['a']);
    assert.equal(line.isFree, true);
  });

  it('keeps the order of what came behind a long one, also if that is long', async () => {
    const line = new RequestLine();
    const log: string[] = [];
    line.enter(stepsOf(line, log, 'long', 3));
    line.enter(() => log.push('b'));
    line.enter(stepsOf(line, log, 'long too', 2));
    line.enter(() => log.push('d'));
    assert.deepEqual(log, []);
    assert.equal(line.isFree, false);
    await line.whenIdle();
    assert.deepEqual(log, ['long', 'b', 'long too', 'd']);
  });

  it('lets nothing that is submitted in an answer pass those who wait', async () => {
    const line = new RequestLine();
    const log: string[] = [];
    let left = 2;
    line.enter(() => {
      line.run(
        () => {
          left -= 1;
          return left === 0;
        },
        () => {
          log.push('long');
          line.enter(() => log.push('from the answer'));
        },
      );
    });
    line.enter(() => log.push('waiting'));
    await line.whenIdle();
    assert.deepEqual(log, ['long', 'waiting', 'from the answer']);
  });

  it('ends with the error of a step and goes on with the next in line', async () => {
    const line = new RequestLine();
    const ends: unknown[] = [];
    const failure = new Error('no');
    let left = 2;
    line.enter(() => {
      line.run(
        () => {
          left -= 1;
          if (left === 0) throw failure;
          return false;
        },
        (error) => ends.push(error),
      );
    });
    line.enter(() => ends.push('next'));
    await line.whenIdle();
    assert.deepEqual(ends, [failure, 'next']);
  });

  it('waits for a step that another thread does, and for its error', async () => {
    const line = new RequestLine();
    const log: unknown[] = [];
    const failure = new Error('no');
    let finish: (isDone: boolean) => void = () => undefined;
    const away = (): Promise<boolean> => new Promise((resolve) => (finish = resolve));
    const steps = [away, away, () => Promise.reject(failure)];
    line.enter(() => {
      line.run(
        () => (steps.shift() ?? away)(),
        (error) => log.push(error),
      );
    });
    line.enter(() => log.push('next'));
    line.enter(() => log.push('a read'), true);
    finish(false);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.equal(steps.length, 1, 'the second one is under way');
    assert.deepEqual(log, []);
    finish(false);
    await line.whenIdle();
    assert.deepEqual(log, [failure, 'next', 'a read']);
  });

  it('lets the event loop turn between two steps', async () => {
    const line = new RequestLine();
    const log: string[] = [];
    line.enter(stepsOf(line, log, 'long', 4));
    setImmediate(() => log.push('somebody else'));
    await line.whenIdle();
    assert.deepEqual(log, ['somebody else', 'long']);
  });
});
