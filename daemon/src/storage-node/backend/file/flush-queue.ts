/**
 * fdatasync for one file, shared by those who ask at the same time. A request is covered only by a call
 * that began after it came: one that is already running may have passed its data by.
 *
 * An error stays: Linux marks the pages clean after a failed write-back, so the next fdatasync would
 * report success for data that is lost. Until the volume is opened anew, every flush fails.
 */
import fs from 'node:fs';
import type { BlockError } from '../../../block/block-error.js';
import { FlushFailure } from '../../../block/flush-failure.js';

type Done = (error: BlockError | undefined) => void;

export class FlushQueue {
  #running = false;
  #waiting: Done[] = [];
  #failure: FlushFailure | undefined;
  #idle: (() => void)[] = [];

  constructor(
    readonly fd: number,
    /** In its own place so that tests can make it fail. */
    readonly fdatasync: (fd: number, done: (error: Error | null) => void) => void = fs.fdatasync,
  ) {}

  flush(done: Done): void {
    this.#waiting.push(done);
    if (!this.#running) this.#run();
  }

  whenIdle(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  #run(): void {
    const covered = this.#waiting;
    this.#waiting = [];
    this.#running = true;
    this.fdatasync(this.fd, (error) => {
      if (error !== null) this.#failure ??= FlushFailure.of(error);
      // Those who came meanwhile wait for the next call, which begins before anybody hears of this one.
      this.#running = false;
      if (this.#waiting.length > 0) this.#run();
      for (const done of covered) done(this.#failure);
      this.#wakeIfIdle();
    });
  }

  #wakeIfIdle(): void {
    if (this.#running) return;
    const waiters = this.#idle;
    this.#idle = [];
    for (const wake of waiters) wake();
  }
}
