/** The main thread's end of a worker, with a worker that says nothing by itself. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AttachmentRecord } from '#daemon/admin/attachment-record.js';
import { VolumeThread } from '#daemon/workers/volume-thread.js';
import type { FromWorker, ToWorker } from '#daemon/workers/worker-messages.js';

const RECORD: AttachmentRecord = {
  ...{ exportName: 'v1', volume: 'v1', volumeId: 'volume-1', node: 'pretend:1' },
  ...{ attachmentId: 'a', readOnly: false, attachedUnixMs: 5 },
};

class Bench {
  readonly said: ToWorker[] = [];
  readonly log: string[] = [];
  readonly thread = new VolumeThread(
    1,
    { requestsMax: 10, bytesMax: 1000 },
    {
      info: (_fields, message) => this.log.push(`info ${message}`),
      warn: (_fields, message) => this.log.push(`warn ${message}`),
    },
    (message) => this.said.push(message),
  );

  /** Answers every question that has none yet. */
  async answerAll(): Promise<void> {
    for (const message of this.said.splice(0)) {
      if (message.kind !== 'ask') continue;
      this.hear({ kind: 'answer', questionId: message.questionId, answer: {} });
    }
    await new Promise(setImmediate);
  }

  hear(message: FromWorker): void {
    this.thread.hear(message);
  }
}

describe('a worker as the main thread has it', () => {
  it('is alive while it answers between two looks', async () => {
    const bench = new Bench();
    assert.equal(bench.thread.isAnswering(), true);
    assert.equal(bench.thread.isAnswering(), false, 'not yet');
    await bench.answerAll();
    assert.equal(bench.thread.isAnswering(), true);
  });

  it('has as many volumes as were opened and not closed', async () => {
    const { thread, ...bench } = new Bench();
    const opened = thread.open(RECORD, { takeOver: false, onClaim: () => undefined });
    assert.equal(thread.volumeCount, 1);
    const closed = opened.close({ forget: true });
    for (const message of bench.said)
      if (message.kind === 'ask')
        thread.hear({ kind: 'answer', questionId: message.questionId, answer: {} });
    await closed;
    assert.equal(thread.volumeCount, 0);
  });

  it('writes down what the worker logs', () => {
    const bench = new Bench();
    bench.hear({ kind: 'log', level: 'warn', fields: {}, message: 'a volume is holding' });
    assert.deepEqual(bench.log, ['warn a volume is holding']);
  });

  it('hears nothing more of a volume that has ended, and does not mind', () => {
    const bench = new Bench();
    const status = { state: { name: 'closed' }, facts: undefined, generation: 0 } as const;
    bench.hear({ kind: 'changed', volumeId: 99, status });
    bench.hear({ kind: 'completed', volumeId: 99, results: [] });
    bench.hear({ kind: 'session', sessionId: 99, news: { news: 'failed', reason: 'x' } });
    assert.deepEqual(bench.said, []);
  });

  it('says no to a claim that cannot be written down, with the reason', async () => {
    const bench = new Bench();
    bench.thread.open(RECORD, {
      takeOver: false,
      onClaim: () => {
        throw new Error('disk full');
      },
    });
    const [open] = bench.said;
    const volumeId = open?.kind === 'open' ? open.volumeId : -1;
    bench.hear({ kind: 'claiming', volumeId, questionId: 7 });
    await new Promise(setImmediate);
    const error = { of: 'system', code: undefined, reason: 'disk full' };
    assert.deepEqual(bench.said.at(-1), { kind: 'claimed', questionId: 7, error });
  });
});
