/**
 * Accepted connections that are received into slabs. Node lets one say where a socket is read to only when one makes it,
 * and those of a server it makes itself: so here another is made over the same connection, and Node's goes.
 */
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { doubledDescriptor } from './doubled-descriptor.js';
import { slabSocket } from './receive-slab.js';

/**
 * @param accepted plain; everything that it received has been taken, everything written to it is with the kernel. Closes;
 *   whoever listens for that listens to the other from now on
 * @returns a socket that is read as soon as somebody listens to `data`, which is the only way to read it; `accepted`
 *   itself where that cannot be: without the add-on, without a free descriptor, with something left in it
 */
export function adopted(accepted: Socket): Socket {
  const copy = doubledDescriptor(accepted);
  if (copy === undefined) return accepted;
  try {
    const made = slabSocket(copy, accepted.allowHalfOpen);
    // It is the connection's, and so the same for both.
    accepted.destroy();
    return made;
  } catch {
    closeSync(copy);
    return accepted;
  }
}
