/**
 * The main thread's end of one worker: what it is told and asked, and what is heard of it. Questions have answers in any
 * order; all else is heard in the order in which it was said.
 */
import type { AttachmentRecord } from '../admin/attachment-record.js';
import type { OpenedVolume, OpenOptions } from '../admin/opened-volume.js';
import type { EventLog } from '../runtime/logger.js';
import { RemoteSessions, type SessionLine } from './remote-sessions.js';
import { RemoteVolume, type LineLimits } from './remote-volume.js';
import { toldError } from '../threads/told-error.js';
import type {
  Answer,
  FromWorker,
  Post,
  Question,
  SessionNews,
  ToWorker,
} from './worker-messages.js';

interface KnownVolume {
  readonly volume: RemoteVolume;
  readonly onClaim: OpenOptions['onClaim'];
}

export class VolumeThread implements SessionLine {
  readonly #volumes = new Map<number, KnownVolume>();
  readonly #sessions = new Map<number, (news: SessionNews) => void>();
  readonly #questions = new Map<number, (answer: Answer) => void>();
  #lastId = 0;
  #isAnswering = true;

  constructor(
    /** Counted from 1. */
    readonly number: number,
    readonly limits: LineLimits,
    readonly log: EventLog,
    readonly post: Post<ToWorker>,
  ) {}

  /** Whether it has answered since the last call; the first one finds that it has. */
  isAnswering(): boolean {
    if (!this.#isAnswering) return false;
    this.#isAnswering = false;
    void this.ask({ of: 'settled' }).then(() => {
      this.#isAnswering = true;
    });
    return true;
  }

  get volumeCount(): number {
    return this.#volumes.size;
  }

  /** As AttachmentOpener.open; what cannot be opened is a volume that cannot be started. */
  open(record: AttachmentRecord, { takeOver, onClaim, onChange }: OpenOptions): OpenedVolume {
    const volumeId = this.#nextId();
    const volume = new RemoteVolume(
      {
        ask: (act) => this.ask({ of: 'volume', volumeId, act }),
        resume: () => {
          this.post({ kind: 'resume', volumeId });
        },
        submit: (requests, transfer) => {
          this.post({ kind: 'submit', volumeId, requests }, transfer);
        },
      },
      this.limits,
      () => onChange?.(),
    );
    this.#volumes.set(volumeId, { volume, onClaim });
    this.post({ kind: 'open', volumeId, record, takeOver });
    return {
      volume,
      host: new RemoteSessions(volumeId, this),
      worker: this.number,
      close: async ({ forget }) => {
        await volume.end(forget);
        this.#volumes.delete(volumeId);
      },
    };
  }

  ask(question: Question): Promise<Answer> {
    const questionId = this.#nextId();
    return new Promise((resolve) => {
      this.#questions.set(questionId, resolve);
      this.post({ kind: 'ask', questionId, question });
    });
  }

  begin(hear: (news: SessionNews) => void): number {
    const sessionId = this.#nextId();
    this.#sessions.set(sessionId, hear);
    return sessionId;
  }

  hear(message: FromWorker): void {
    switch (message.kind) {
      case 'answer':
        this.#questions.get(message.questionId)?.(message.answer);
        this.#questions.delete(message.questionId);
        return;
      case 'changed':
        this.#volumes.get(message.volumeId)?.volume.changed(message.status);
        return;
      case 'completed':
        this.#volumes.get(message.volumeId)?.volume.completed(message.results);
        return;
      case 'claiming':
        void this.#claim(message.volumeId, message.questionId);
        return;
      case 'session':
        this.#hearSession(message.sessionId, message.news);
        return;
      case 'log':
        this.log[message.level](message.fields, message.message);
    }
  }

  #hearSession(sessionId: number, news: SessionNews): void {
    const hear = this.#sessions.get(sessionId);
    if (news.news === 'closed') this.#sessions.delete(sessionId);
    hear?.(news);
  }

  /** Answered when the record is written, or cannot be. */
  async #claim(volumeId: number, questionId: number): Promise<void> {
    try {
      await this.#volumes.get(volumeId)?.onClaim();
      this.post({ kind: 'claimed', questionId });
    } catch (error) {
      this.post({ kind: 'claimed', questionId, error: toldError(error) });
    }
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }
}
