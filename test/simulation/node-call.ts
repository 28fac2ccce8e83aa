/**
 * The node's end of one session stream: what grpc-js gives a handler, as far as the storage node uses it,
 * on a simulated connection. `pause` keeps what arrives, as HTTP/2's window would.
 */
import { EventEmitter } from 'node:events';
import type { StorageError } from '#daemon/rpc/storage-error.js';
import type { ClientFrame, NodeFrame } from '#daemon/rpc/storage-messages.js';
import type { ServedCall } from '#daemon/rpc/served-session.js';
import type { SimulatedProcess } from './simulated-process.js';

/** What the handler does to its stream, for the client's end. */
export interface CallEnd {
  /** `whenSent` is called when the frame has left. */
  frame(frame: NodeFrame, whenSent: () => void): void;
  /** The stream is over, with the error or well. */
  status(error: unknown): void;
}

export class NodeCall extends EventEmitter {
  #paused = false;
  #over = false;
  readonly #kept: (ClientFrame | StorageError)[] = [];

  constructor(
    readonly node: SimulatedProcess,
    readonly other: CallEnd,
  ) {
    super();
    this.on('error', (error: unknown) => {
      if (this.#over) return;
      this.#over = true;
      other.status(error);
    });
  }

  /** As the handler of OpenSession takes it. */
  asServedCall(): ServedCall {
    return this as unknown as ServedCall;
  }

  receive(frame: ClientFrame | StorageError): void {
    if (this.#paused) this.#kept.push(frame);
    else this.emit('data', frame);
  }

  /** The client cancelled, or the connection is lost. */
  cancelled(): void {
    if (this.#over) return;
    this.#over = true;
    this.emit('cancelled');
  }

  write(frame: NodeFrame, onSent: () => void): boolean {
    if (!this.#over)
      this.other.frame(frame, () => {
        this.node.deliver(onSent);
      });
    return true;
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.other.status(undefined);
  }

  pause(): this {
    this.#paused = true;
    return this;
  }

  resume(): this {
    this.#paused = false;
    while (!this.#paused) {
      const frame = this.#kept.shift();
      if (frame === undefined) break;
      this.emit('data', frame);
    }
    return this;
  }

  getPeer(): string {
    return 'simulated';
  }
}
