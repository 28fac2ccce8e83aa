/**
 * The main thread's end of a worker, which is played by the test: answers find their questions, and what ends a worker
 * ends the process.
 */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { BlockError } from '#daemon/block/block-error.js';
import { failed, readRequest, type BlockResult } from '#daemon/block/block-request.js';
import { FlushFailure } from '#daemon/block/flush-failure.js';
import { toldError } from '#daemon/threads/told-error.js';
import { toldResult } from '#daemon/threads/told-request.js';
import type { FromWorker, ToWorker } from '#daemon/storage-node/workers/worker-messages.js';
import { WorkerThread } from '#daemon/storage-node/workers/worker-thread.js';
import { settle } from '#test/support/fake-clock.js';

const IDENTITY = { volumeId: 'id-v1', sizeBytes: 4096, blockBytes: 512 };

class PretendThread extends EventEmitter {
  readonly posted: ToWorker[] = [];
  readonly heard: FromWorker[] = [];
  readonly failures: string[] = [];
  readonly thread = new WorkerThread(
    this as unknown as Worker,
    (message) => this.heard.push(message),
    (device, error) => this.failures.push(`${device.volumeId} ${error.errno} ${error.reason}`),
  );

  postMessage(message: ToWorker): void {
    this.posted.push(message);
  }

  say(message: FromWorker): void {
    this.emit('message', message);
  }
}

const FACTS = {
  sizeBytes: 4096,
  blockBytes: 512,
  preferredBytes: 4096,
  requestBytesMax: 4096,
  capabilities: {
    canWrite: true,
    fua: 'native',
    canTrim: true,
    canFastZero: true,
    canBlockStatus: true,
  },
} as const;

describe('the end of a worker', () => {
  it('by an error is thrown on, for whoever ends the process because of a bug', () => {
    const pretend = new PretendThread();
    const bug = new Error('a bug');
    assert.throws(() => pretend.emit('error', bug), bug);
  });

  it('without a word is one, except where it was asked for', async () => {
    assert.throws(() => new PretendThread().emit('exit', 7), /a worker has ended with status 7/);
    const pretend = new PretendThread();
    const stopped = pretend.thread.stop();
    assert.deepEqual(pretend.posted, [{ kind: 'stop' }]);
    pretend.emit('exit', 0);
    await stopped;
  });
});

describe('questions to a worker', () => {
  it('for a sign of life are asked again when they were answered', () => {
    const pretend = new PretendThread();
    const seen = [pretend.thread.isAnswering(), pretend.thread.isAnswering()];
    pretend.say({ kind: 'alive' });
    seen.push(pretend.thread.isAnswering());
    assert.deepEqual(seen, [true, false, true]);
    assert.deepEqual(pretend.posted, [{ kind: 'ask' }, { kind: 'ask' }]);
  });

  it('have their own answers, in any order', async () => {
    const pretend = new PretendThread();
    const { thread, posted } = pretend;
    const [one, two] = [
      { act: 'close', deviceId: 1 } as const,
      { act: 'close', deviceId: 2 } as const,
    ];
    const answers = Promise.all([thread.call(one), thread.call(two)]);
    const ids = posted.map((message) => (message.kind === 'call' ? message.callId : 0));
    pretend.say({ kind: 'answer', callId: ids[1] ?? 0, answer: { bytes: 2 } });
    pretend.say({ kind: 'answer', callId: ids[0] ?? 0, answer: { bytes: 1 } });
    assert.deepEqual(await answers, [{ bytes: 1 }, { bytes: 2 }]);
    const results: BlockResult[] = [];
    thread.submit(1, readRequest(0, 512), (_request, result) => results.push(result));
    const submitted = posted.at(-1);
    assert.ok(submitted?.kind === 'submit');
    const { requestId } = submitted.request;
    const result = toldResult(requestId, failed(new BlockError('EIO', 'lost')));
    pretend.say({ kind: 'completed', result });
    pretend.say({ kind: 'completed', result });
    assert.equal(results.length, 1);
    assert.equal(results[0]?.error?.errno, 'EIO');
  });

  it('that open a volume reject with what went wrong there', async () => {
    const pretend = new PretendThread();
    const opened = pretend.thread.openDevice('file', IDENTITY, '/f');
    const error = toldError(new BlockError('EIO', 'data is missing'));
    pretend.say({ kind: 'answer', callId: callId(pretend), answer: { error } });
    await assert.rejects(opened, new BlockError('EIO', 'data is missing'));
  });

  it('tell whose flush failed, while the volume is open', async () => {
    const pretend = new PretendThread();
    const opened = pretend.thread.openDevice('file', IDENTITY, '/f');
    const [asked] = pretend.posted;
    assert.ok(asked?.kind === 'call' && asked.call.act === 'open');
    const { deviceId } = asked.call;
    pretend.say({ kind: 'answer', callId: asked.callId, answer: { facts: FACTS } });
    const device = await opened;
    assert.deepEqual(device.facts, FACTS);
    const error = toldError(FlushFailure.of(new BlockError('EIO', 'lost')));
    pretend.say({ kind: 'flush-failed', deviceId, error });
    const closed = device.close();
    pretend.say({ kind: 'answer', callId: callId(pretend), answer: {} });
    await closed;
    await settle();
    pretend.say({ kind: 'flush-failed', deviceId, error });
    assert.deepEqual(pretend.failures, ['id-v1 EIO lost']);
    assert.deepEqual(pretend.heard, []);
  });
});

function callId({ posted }: PretendThread): number {
  const last = posted.at(-1);
  assert.ok(last?.kind === 'call');
  return last.callId;
}
