/** Callbacks that wait for one thing to happen, each called once. */
export class Waiters {
  #callbacks: (() => void)[] = [];

  get count(): number {
    return this.#callbacks.length;
  }

  add(callback: () => void): void {
    this.#callbacks.push(callback);
  }

  /**
   * One after the other, for as long as there is room. Who takes it all and waits again stands behind the others:
   * woken all at once, the first would be the first again, and be served alone.
   */
  wakeInTurn(hasRoom: () => boolean): void {
    for (let left = this.count; left > 0 && hasRoom(); left -= 1) this.#callbacks.shift()?.();
  }

  wake(): void {
    if (this.#callbacks.length === 0) return;
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const callback of callbacks) callback();
  }
}
