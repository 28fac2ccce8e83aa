/** What the bench is doing: one line that changes on a terminal, and single lines elsewhere. */
export class Progress {
  #isTerminal = process.stderr.isTTY === true;
  #startMs = performance.now();
  #lastTenth = -1;

  show(text) {
    if (this.#isTerminal) process.stderr.write(`\r\x1b[K${text}`);
    else process.stderr.write(`bench: ${text}\n`);
  }

  /** @param done steps before this one */
  step(done, steps, text) {
    if (this.#isTerminal) {
      this.show(`[${done + 1}/${steps}${this.#remaining(done, steps)}] ${text}`);
      return;
    }
    const tenth = Math.floor((10 * done) / steps);
    if (tenth === this.#lastTenth) return;
    this.#lastTenth = tenth;
    this.show(`${tenth * 10}% ${text}`);
  }

  clear() {
    if (this.#isTerminal) process.stderr.write('\r\x1b[K');
  }

  #remaining(done, steps) {
    if (done === 0) {
      this.#startMs = performance.now();
      return '';
    }
    const minutes = ((performance.now() - this.#startMs) / done / 60_000) * (steps - done);
    return `, ${minutes < 1 ? '<1' : Math.round(minutes)} min left`;
  }
}
