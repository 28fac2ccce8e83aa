/** Looks at what a client says first, so that somebody can be chosen to whom the connection is given. */
import type { Socket } from 'node:net';
import type { Clock } from '../runtime/clock.js';

/** Every client begins at once; who does not is somebody to wait for. */
export const LOOK_MS = 500;

/**
 * One of `found` and `other` is called, unless the socket closes before.
 *
 * @param judged what was found in these bytes; 'other' when nothing can be; undefined while too little is there to tell
 * @param found gets what came, which is not in the socket any more
 * @param other what came is still in the socket; also for a client that says nothing
 */
export function lookAtFirst<Finding>(
  socket: Socket,
  clock: Clock,
  judged: (seen: Buffer) => Finding | 'other' | undefined,
  found: (finding: Finding, first: Buffer) => void,
  other: () => void,
): void {
  let seen = Buffer.alloc(0);
  const onReadable = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) seen = Buffer.concat([seen, chunk]);
    const finding = chunk === null ? 'other' : judged(seen);
    if (finding === undefined) return;
    settle();
    if (finding === 'other') giveBack();
    else found(finding, seen);
  };
  const giveBack = (): void => {
    if (seen.length > 0) socket.unshift(seen);
    other();
  };
  const cancel = clock.setTimer(LOOK_MS, () => {
    settle();
    giveBack();
  });
  const settle = (): void => {
    cancel();
    socket.removeListener('readable', onReadable);
    socket.removeListener('error', onError);
    socket.removeListener('close', settle);
  };
  // It closes then, and nobody was told of it yet.
  const onError = (): void => undefined;
  socket.on('readable', onReadable);
  socket.on('error', onError);
  socket.on('close', settle);
}
