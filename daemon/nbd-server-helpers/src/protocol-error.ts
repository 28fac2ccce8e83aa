/**
 * The error for a broken conversation. A request that merely fails is answered with an error number
 * and never ends here.
 */

/**
 * The other side broke a rule after which the stream can no longer be trusted: the caller must close
 * the connection, and may log the message, which says what was received and what was expected.
 */
export class NbdProtocolError extends Error {
  override readonly name = 'NbdProtocolError';
}
