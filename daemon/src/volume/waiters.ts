/** Callbacks that wait for one thing to happen, each called once. */
export class Waiters {
  #callbacks: (() => void)[] = [];

  get count(): number {
    return this.#callbacks.length;
  }

  add(callback: () => void): void {
    this.#callbacks.push(callback);
  }

  wake(): void {
    if (this.#callbacks.length === 0) return;
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const callback of callbacks) callback();
  }
}
