/**
 * Ctrl-C as an AbortSignal, so that a transfer can give its lease back and remove half a file. A second
 * Ctrl-C kills the process as usual.
 */
import { CommandError } from './exit-codes.js';
import type { Surroundings } from './surroundings.js';

/** Runs `work` with a signal that SIGINT and SIGTERM abort. @throws CommandError 'interrupted', what `work` throws */
export async function stoppable<Value>(
  surroundings: Surroundings,
  work: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const controller = new AbortController();
  const stopListening = surroundings.onStopSignal((signalName) => {
    stopListening();
    controller.abort(new CommandError('interrupted', `stopped by ${signalName}`));
  });
  try {
    return await work(controller.signal);
  } finally {
    stopListening();
  }
}
