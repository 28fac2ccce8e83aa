/** Plays a server to a client by messages that a test states. */
import {
  ClientHandshake,
  type ClientHandshakeOptions,
  type ClientOutcome,
} from 'nbd-server-helpers';

/** The plainest wish: one export, simple replies. */
export const GO: ClientHandshakeOptions = {
  exportName: 'vol0',
  purpose: 'go',
  replyKind: 'simple',
  metaContexts: [],
  tls: 'never',
};

/** Plays the server's messages, each once the client has sent what it owes for the one before. */
export function play(
  options: ClientHandshakeOptions,
  ...messages: readonly Buffer[]
): { sent: Buffer[]; outcome: ClientOutcome | undefined } {
  const client = new ClientHandshake(options);
  const sent: Buffer[] = [];
  let outcome: ClientOutcome | undefined;
  for (const message of messages) {
    const step = client.push(message);
    sent.push(step.send);
    outcome = step.outcome;
  }
  return { sent, outcome };
}
