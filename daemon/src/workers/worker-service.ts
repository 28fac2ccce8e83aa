/**
 * A worker of blkferryd: the volumes that it was given, their sessions to nodes, and the NBD sessions of their clients. How
 * messages come and go is its caller's business.
 */
import { VolumeOpener } from '../admin/volume-opener.js';
import { ReplyBudget } from '../frontend/reply-budget.js';
import type { Clock } from '../runtime/clock.js';
import type { TlsMaterial } from '../security/tls-material.js';
import type { StoragePool } from '../transport/storage-pool.js';
import { heardError } from '../threads/told-error.js';
import { transferred } from '../threads/told-request.js';
import { toldLog } from './told-log.js';
import type { FromWorker, Post, Question, ToWorker, WorkerSettings } from './worker-messages.js';
import { WorkerSessions } from './worker-sessions.js';
import { WorkerVolume } from './worker-volume.js';

/**
 * Turns of the event loop after which the end of a socket that had ended before has been said: one to read it, one to
 * close, one to hear of that.
 */
const SETTLING_TURNS = 3;

interface Claim {
  resolve(): void;
  reject(error: Error): void;
}

export class WorkerService {
  readonly #opener: VolumeOpener;
  readonly #volumes = new Map<number, WorkerVolume>();
  readonly #sessions: WorkerSessions;
  readonly #claims = new Map<number, Claim>();
  #lastQuestionId = 0;

  /** @param tls of the pool's clients; undefined: there are no certificates */
  constructor(
    { config, replyBytesMax }: WorkerSettings,
    pool: StoragePool,
    readonly tls: TlsMaterial | undefined,
    clock: Clock,
    readonly post: Post<FromWorker>,
  ) {
    this.#opener = new VolumeOpener(config, pool, toldLog(post));
    const stalledTimeoutMs = config['nbd.stalled_timeout'];
    const level = config['log.level'];
    this.#sessions = new WorkerSessions(
      {
        budget: new ReplyBudget({ bytesMax: replyBytesMax, stalledTimeoutMs }, clock),
        idleTimeoutMs: config['nbd.idle_timeout'],
        tellsRequests: level === 'debug' || level === 'trace',
      },
      (sessionId, news) => {
        post({ kind: 'session', sessionId, news });
      },
    );
  }

  /** @returns false for `stop`: there is nothing more to do */
  hear(message: ToWorker): boolean {
    switch (message.kind) {
      case 'open':
        this.#open(message);
        return true;
      case 'ask':
        void this.#answer(message.questionId, message.question);
        return true;
      case 'claimed':
        this.#claimed(message);
        return true;
      case 'destroy':
        this.#sessions.destroy(message.sessionId);
        return true;
      case 'tls':
        this.tls?.hear(message.tls);
        return true;
      case 'stop':
        return false;
      default:
        this.#tellVolume(message);
        return true;
    }
  }

  #open({ volumeId, record, takeOver }: Extract<ToWorker, { kind: 'open' }>): void {
    const volume = new WorkerVolume(this.#opener, record, takeOver, {
      changed: (status) => {
        this.post({ kind: 'changed', volumeId, status });
      },
      completed: (results) => {
        this.post({ kind: 'completed', volumeId, results }, transferred(results));
      },
      claiming: () => this.#askClaim(volumeId),
    });
    this.#volumes.set(volumeId, volume);
  }

  #tellVolume(message: Extract<ToWorker, { volumeId: number }>): void {
    const volume = this.#volumes.get(message.volumeId);
    if (volume === undefined) {
      // It has ended; a client of it that ends now is news for nobody.
      if (message.kind === 'client') this.#sessions.refuse(message.sessionId, message.client.fd);
      if (message.kind === 'kernel') this.#sessions.refuse(message.sessionId, message.fd);
      return;
    }
    switch (message.kind) {
      case 'resume':
        volume.volume.resume();
        return;
      case 'submit':
        volume.submit(message.requests);
        return;
      case 'client':
        this.#sessions.serveClient(message.sessionId, message.client, volume.volume, volume);
        return;
      case 'kernel':
        this.#sessions.serveKernel(message.sessionId, message.fd, volume.volume);
        return;
      case 'clients-there':
        volume.clientsThere(message.by);
        return;
      case 'open':
    }
  }

  async #answer(questionId: number, question: Question): Promise<void> {
    switch (question.of) {
      case 'volume': {
        const { volumeId, act } = question;
        // One that has ended has nothing to tell.
        const answer = (await this.#volumes.get(volumeId)?.ask(act)) ?? {};
        if (act.act === 'end') this.#volumes.delete(volumeId);
        this.post({ kind: 'answer', questionId, answer });
        return;
      }
      case 'session-stop':
        await this.#sessions.stop(question.sessionId);
        break;
      case 'settled':
        for (let left = SETTLING_TURNS; left > 0; left -= 1) await new Promise(setImmediate);
        break;
    }
    this.post({ kind: 'answer', questionId, answer: {} });
  }

  /** The main thread writes the record before the lease is taken over. */
  #askClaim(volumeId: number): Promise<void> {
    this.#lastQuestionId += 1;
    const questionId = this.#lastQuestionId;
    this.post({ kind: 'claiming', volumeId, questionId });
    return new Promise((resolve, reject) => {
      this.#claims.set(questionId, { resolve, reject });
    });
  }

  #claimed({ questionId, error }: Extract<ToWorker, { kind: 'claimed' }>): void {
    const claim = this.#claims.get(questionId);
    this.#claims.delete(questionId);
    if (error === undefined) claim?.resolve();
    else claim?.reject(heardError(error));
  }
}
