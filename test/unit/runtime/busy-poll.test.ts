/** Looking instead of sleeping: only while waits are short, for few requests of one volume, and never for long. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BusyPoll } from '#daemon/runtime/busy-poll.js';

const MAX = 200;

/** Event loop turns that take a time of the test's choice. */
class Turns {
  now = 0;
  #next: (() => void)[] = [];
  /** Turns that did not sleep. */
  looks = 0;

  readonly timing = {
    nowMicroseconds: (): number => this.now,
    nextTurn: (callback: () => void): void => {
      this.#next.push(callback);
    },
  };

  /** Lets time pass, in turns of 5 microseconds as long as somebody looks. @returns how many did */
  pass(microseconds: number): number {
    const before = this.looks;
    const end = this.now + microseconds;
    while (this.now < end) {
      const due = this.#next.splice(0);
      if (due.length === 0) this.now = end;
      else {
        this.looks += 1;
        for (const callback of due) callback();
        this.now += 5;
      }
    }
    return this.looks - before;
  }
}

describe('BusyPoll', () => {
  const volume = {};

  /** A client with one request at a time, at a node that answers as quickly. @returns looks during the last wait */
  function rounds(poll: BusyPoll, turns: Turns, waits: readonly number[], of = volume): number {
    let looks = 0;
    for (const wait of waits) {
      poll.asked(of, 1);
      looks = turns.pass(wait);
      poll.answered(of, 0);
      turns.pass(10);
    }
    return looks;
  }

  const SHORT = Array.from({ length: 200 }, () => 50);

  it('looks as long as it may once waits have been short for a while', () => {
    const turns = new Turns();
    const poll = new BusyPoll(MAX, turns.timing);
    assert.equal(rounds(poll, turns, [50]), 0, 'nothing is known of the first');
    assert.ok(rounds(poll, turns, SHORT) >= 9);
  });

  it('sleeps after the time that it may look', () => {
    const turns = new Turns();
    const poll = new BusyPoll(MAX, turns.timing);
    rounds(poll, turns, SHORT);
    poll.asked(volume, 1);
    const looks = turns.pass(10_000);
    assert.ok(looks >= MAX / 5 && looks <= MAX / 5 + 2, `${looks} looks`);
  });

  it('sleeps at once after one long wait, until waits are short again', () => {
    const turns = new Turns();
    const poll = new BusyPoll(MAX, turns.timing);
    rounds(poll, turns, [...SHORT, 5000]);
    poll.asked(volume, 1);
    assert.ok(turns.pass(1000) <= 3, 'the wait for the client was short, so it looks for a moment');
    poll.answered(volume, 0);
    assert.equal(turns.pass(1000), 0);
    assert.ok(rounds(poll, turns, SHORT) >= 9);
  });

  it('looks while up to eight requests are on their way, and sleeps while more are', () => {
    const turns = new Turns();
    const poll = new BusyPoll(MAX, turns.timing);
    rounds(poll, turns, SHORT);
    for (let unanswered = 1; unanswered <= 8; unanswered += 1) {
      poll.asked(volume, unanswered);
      assert.ok(turns.pass(100) >= 19, `${unanswered} are on their way`);
    }
    poll.asked(volume, 9);
    assert.ok(turns.pass(100) <= 1);
    poll.answered(volume, 8);
    assert.ok(turns.pass(100) <= 1);
    poll.answered(volume, 7);
    assert.ok(turns.pass(100) >= 19);
  });

  it('sleeps while several volumes are busy', () => {
    const turns = new Turns();
    const poll = new BusyPoll(MAX, turns.timing);
    const other = {};
    rounds(poll, turns, SHORT);
    for (let round = 0; round < 20; round += 1) {
      assert.ok(rounds(poll, turns, [50], other) <= 1);
      assert.ok(rounds(poll, turns, [50]) <= 1);
    }
    assert.ok(rounds(poll, turns, SHORT) >= 9, 'it is alone again');
  });

  it('never looks where it is switched off', () => {
    const turns = new Turns();
    rounds(new BusyPoll(0, turns.timing), turns, SHORT);
    assert.equal(turns.looks, 0);
  });
});
