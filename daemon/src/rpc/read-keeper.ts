/**
 * Keeps a server's HTTP/2 connections reading. Node's HTTP/2 stops reading a socket while the kernel has not
 * taken everything that it wrote there (`Http2Session::MaybeStopReading`). With Node at both ends, and more
 * on its way in both directions than the sockets hold (208 KiB each on a unix socket, some MiB on TCP),
 * neither end reads any more and nothing ever moves again: reads and writes of a few hundred KiB at the same
 * time are enough.
 *
 * It is enough that one end goes on reading. So the server looks now and then whether a connection has
 * something that the kernel would not take, and then begins to read it again below HTTP/2, which keeps what
 * comes until its own write is done; that is no more than the flow-control window. Putting a stream of our
 * own between socket and HTTP/2 does the same, but was measured at 30 to 50 % more time of the node for
 * each small request; this costs nothing while all is well.
 *
 * The handle below a socket is not in Node's documentation; test/integration/both-ways.test.ts fails if it
 * is one day without these members.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../runtime/clock.js';

/** While bytes arrive. A standstill lasts this long at most; 200 looks a second take no measurable time. */
const BUSY_INTERVAL_MS = 5;
/** While nothing arrives. A standstill begins with traffic, so the first look at it comes later at most. */
const IDLE_INTERVAL_MS = 100;

/** What is used of Node's handle of a socket, TCP or unix. */
interface StreamHandle {
  /** Bytes written and not taken by the kernel. */
  readonly writeQueueSize: number;
  readonly bytesRead: number;
  /** Without effect while it reads. */
  readStart(): number;
}

export class ReadKeeper {
  readonly #sockets = new Set<Socket>();
  #cancelTimer: (() => void) | undefined;
  #bytesRead = 0;

  constructor(readonly clock: Clock) {}

  /** Until the socket is closed. */
  keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size > 0) return;
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
    });
    if (this.#cancelTimer === undefined) this.#schedule(BUSY_INTERVAL_MS);
  }

  #schedule(intervalMs: number): void {
    this.#cancelTimer = this.clock.setTimer(intervalMs, () => {
      this.#schedule(this.#look() ? BUSY_INTERVAL_MS : IDLE_INTERVAL_MS);
    });
  }

  /** @returns whether bytes have moved, or wait to be moved */
  #look(): boolean {
    let bytesRead = 0;
    let waiting = false;
    for (const socket of this.#sockets) {
      const handle = handleOf(socket);
      if (handle === undefined) continue;
      bytesRead += handle.bytesRead;
      if (handle.writeQueueSize === 0) continue;
      waiting = true;
      handle.readStart();
    }
    const moved = bytesRead !== this.#bytesRead;
    this.#bytesRead = bytesRead;
    return moved || waiting;
  }
}

function handleOf(socket: Socket): StreamHandle | undefined {
  return (socket as unknown as { readonly _handle?: StreamHandle | null })._handle ?? undefined;
}
