/**
 * What waits for the peer's flow-control windows: messages in their order, with what must not overtake them. How much
 * there may be is the sender's limit: a volume's requests in flight, a node's unsent replies.
 */

type Waiting =
  | { readonly kind: 'control'; readonly bytes: Buffer }
  | {
      readonly kind: 'message';
      readonly pieces: Buffer[];
      leftBytes: number;
      readonly onSent: (() => void) | undefined;
    };

export class OutgoingQueue {
  readonly #waiting: Waiting[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  addControl(bytes: Buffer): void {
    this.#waiting.push({ kind: 'control', bytes });
  }

  addMessage(pieces: Buffer[], bytes: number, onSent: (() => void) | undefined): void {
    this.#waiting.push({ kind: 'message', pieces, leftBytes: bytes, onSent });
  }

  /** What is next, if it is not part of a message. */
  takeControl(): Buffer | undefined {
    const [next] = this.#waiting;
    if (next?.kind !== 'control') return undefined;
    this.#waiting.shift();
    return next.bytes;
  }

  /** Left of the message that is next. */
  get messageBytes(): number {
    const [next] = this.#waiting;
    return next?.kind === 'message' ? next.leftBytes : 0;
  }

  /**
   * Takes bytes of the message that is next.
   * @param bytes at most `messageBytes`
   * @returns what its sender wants to have called when they are sent, if they were the last
   */
  take(bytes: number, sink: (piece: Buffer) => void): (() => void) | undefined {
    const [message] = this.#waiting;
    if (message?.kind !== 'message') throw new Error('no message waits');
    for (let missing = bytes; missing > 0;) {
      const [piece] = message.pieces;
      if (piece === undefined) throw new Error('a message is shorter than it says');
      if (piece.length > missing) {
        sink(piece.subarray(0, missing));
        message.pieces[0] = piece.subarray(missing);
        missing = 0;
      } else {
        sink(piece);
        message.pieces.shift();
        missing -= piece.length;
      }
    }
    message.leftBytes -= bytes;
    if (message.leftBytes > 0) return undefined;
    this.#waiting.shift();
    return message.onSent;
  }
}
