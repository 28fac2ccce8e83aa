/**
 * Slabs: memory in which what comes from sockets and disks lies side by side, used again as soon as nobody looks at it.
 * Left to the collector it was 10 to 15 collections a second for large requests, a quarter and more of the daemon's
 * processor time.
 *
 * What is counted is bytes: whoever has a view of a slab holds its bytes and lets go of them when done; whoever passes
 * on a part holds that part first, for the other. Who forgets to let go costs nothing but speed: that slab is the
 * collector's. Should somebody let go too early, what he still looks at becomes empty before anything else comes to lie
 * there, because the slab's memory moves to another ArrayBuffer: data is missed, and never taken for other data.
 * (Only what a socket has been given to write is out of reach of that: let go of it when it is written.)
 */

/** Free slabs of this thread that are kept. Several connections' turns of 1 MiB come and go; more is seldom used. */
const FREE_BYTES_MAX = 16 * 1024 * 1024;

interface Slab {
  heldBytes: number;
}

const slabs = new WeakMap<ArrayBufferLike, Slab>();
/** By length; what became free last is in the processor's caches. */
const free = new Map<number, ArrayBuffer[]>();
let freeBytes = 0;

/** Bytes of this thread that are ready to be used again. */
export function freeSlabBytes(): number {
  return freeBytes;
}

/** With whatever it held before; all of it is held by the caller. */
export function takeSlab(lengthBytes: number): Buffer {
  let memory = free.get(lengthBytes)?.pop();
  if (memory === undefined) memory = Buffer.allocUnsafeSlow(lengthBytes).buffer;
  else freeBytes -= lengthBytes;
  slabs.set(memory, { heldBytes: lengthBytes });
  return Buffer.from(memory);
}

/** One more looks at these bytes. Of other memory than slabs nothing is counted. */
export function hold(view: Buffer): void {
  const slab = slabs.get(view.buffer);
  if (slab !== undefined) slab.heldBytes += view.length;
}

/** @param bytes of the view that one less looks at; undefined: all */
export function letGo(view: Buffer, bytes: number = view.length): void {
  const memory = view.buffer;
  const slab = slabs.get(memory);
  if (slab === undefined) return;
  slab.heldBytes -= bytes;
  if (slab.heldBytes > 0) return;
  slabs.delete(memory);
  const moved = structuredClone(memory, { transfer: [memory as ArrayBuffer] }) as ArrayBuffer;
  if (freeBytes + moved.byteLength > FREE_BYTES_MAX) return;
  freeBytes += moved.byteLength;
  const others = free.get(moved.byteLength);
  if (others === undefined) free.set(moved.byteLength, [moved]);
  else others.push(moved);
}

/** Of all of them. */
export function letGoAll(views: readonly Buffer[]): void {
  for (const view of views) letGo(view);
}
