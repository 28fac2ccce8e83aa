/**
 * Where a socket's bytes are received: side by side in large buffers, of which what came is a view. Node's own way is a
 * buffer of 64 KiB for every read, shrunk to what came: for large data that is sixteen of them for each megabyte, whose
 * collection was a third of the daemon's time.
 *
 * Whoever gets a view holds its bytes (reused-memory.ts); nothing is written over it before he lets go of them. How
 * large the next slab is follows what comes, so that a quiet connection has a small one.
 */
import { Socket, type OnReadOpts, type SocketConstructorOpts } from 'node:net';
import { hold, letGo, takeSlab } from './reused-memory.js';

/** What a connection has that sends little. There may be thousands. */
const SLAB_BYTES_MIN = 16 * 1024;
/** Larger ones were not faster. */
const SLAB_BYTES_MAX = 256 * 1024;
/** A read gets at least a quarter of a slab or this, or another: many small reads share one, large ones are not cut. */
const ROOM_BYTES = 16 * 1024;

/** What is received in a turn of the event loop; Node would read 32 times. Others have their turn then. */
const TURN_BYTES = 1024 * 1024;

/** Node's own, 64 KiB, among them. */
const SLAB_SIZES: ReadonlySet<number> = new Set(
  Array.from({ length: 5 }, (_, doublings) => SLAB_BYTES_MIN * 2 ** doublings),
);

export class ReceiveSlab {
  #slab = takeSlab(SLAB_BYTES_MIN);
  #usedBytes = 0;
  /** Since this slab began, a read filled all the room that it had. */
  #wasFilled = false;

  /** Room for the next read. */
  offer(): Buffer {
    const leftBytes = this.#slab.length - this.#usedBytes;
    if (leftBytes < Math.min(ROOM_BYTES, this.#slab.length / 4)) this.#renew();
    return this.#slab.subarray(this.#usedBytes);
  }

  /** The first bytes of what was offered have been received; they are held by whoever gets them. */
  take(bytes: number): Buffer {
    const end = this.#usedBytes + bytes;
    if (end === this.#slab.length) this.#wasFilled = true;
    const view = this.#slab.subarray(this.#usedBytes, end);
    hold(view);
    this.#usedBytes = end;
    return view;
  }

  #renew(): void {
    const { length } = this.#slab;
    const bytes = this.#wasFilled ? length * 2 : length / 2;
    letGo(this.#slab);
    this.#slab = takeSlab(Math.min(SLAB_BYTES_MAX, Math.max(SLAB_BYTES_MIN, bytes)));
    this.#usedBytes = 0;
    this.#wasFilled = false;
  }
}

/**
 * Whether the read that gave these bytes had no more room, so that there may be more in the socket; Node reads on in the
 * same turn of the event loop. Also for chunks that Node allotted, which are shrunk to what came.
 */
export function filledItsRoom({ byteOffset, length, buffer }: Buffer): boolean {
  const { byteLength } = buffer;
  return byteOffset + length === byteLength && SLAB_SIZES.has(byteLength);
}

/**
 * For a socket that is made: its `data` events come from a slab.
 *
 * @param socketOf the socket, once it is there
 */
export function readIntoSlab(socketOf: () => Socket): OnReadOpts {
  const slab = new ReceiveSlab();
  let turnBytes = 0;
  const nextTurn = (): void => {
    const socket = socketOf();
    // As the reading ended by itself: whoever paused it meanwhile goes on with it.
    if (!socket.isPaused()) socket.resume();
  };
  return {
    buffer: () => slab.offer(),
    callback: (bytes) => {
      const chunk = slab.take(bytes);
      socketOf().emit('data', chunk);
      if (!filledItsRoom(chunk)) turnBytes = 0;
      else turnBytes += bytes;
      if (turnBytes < TURN_BYTES) return true;
      turnBytes = 0;
      setImmediate(nextTurn);
      return false;
    },
  };
}

/** A socket over a connected descriptor, which it takes over: it is read as soon as somebody listens to `data`. */
export function slabSocket(fd: number, allowHalfOpen: boolean): Socket {
  // Node has taken this since version 12; its types say so only where it connects.
  const options: SocketConstructorOpts & { onread: OnReadOpts } = {
    fd,
    readable: true,
    writable: true,
    allowHalfOpen,
    onread: readIntoSlab(() => socket),
  };
  const socket: Socket = new Socket(options);
  return socket;
}
