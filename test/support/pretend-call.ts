/** A session's stream without a connection: what the client sends is said by the test, what it is answered is kept. */
import { EventEmitter } from 'node:events';
import type { BlockRequest } from '#daemon/block/block-request.js';
import type { ServedCall } from '#daemon/rpc/served-session.js';
import type { ClientFrame, NodeFrame, OpenFrame } from '#daemon/rpc/storage-messages.js';

export class PretendCall extends EventEmitter implements ServedCall {
  readonly frames: NodeFrame[] = [];
  /** The status it ended with. */
  readonly ends: string[] = [];
  #lastSequence = 0;

  constructor() {
    super();
    this.on('error', ({ details }: { details: string }) => this.ends.push(details));
  }

  /** Sequences that were answered, with their errnos. */
  get answers(): string[] {
    return this.frames.flatMap((frame) =>
      frame.kind !== 'replies'
        ? []
        : frame.sequences.map(
            (sequence, index) => `${sequence} ${frame.results[index]?.error?.errno ?? 'done'}`,
          ),
    );
  }

  open(open: Partial<OpenFrame> = {}): void {
    this.say({
      kind: 'open',
      volumeId: 'id-v1',
      attachmentId: 'a',
      generation: 1,
      streamIndex: 0,
      checksum: 'none',
      takesHoles: true,
      ...open,
    });
  }

  request(...requests: BlockRequest[]): void {
    const sequences = requests.map(() => (this.#lastSequence += 1));
    this.say({ kind: 'requests', sequences, requests });
  }

  say(frame: ClientFrame): void {
    this.emit('data', frame);
  }

  write(frame: NodeFrame, onSent: () => void): boolean {
    this.frames.push(frame);
    queueMicrotask(onSent);
    return true;
  }

  end(): void {
    this.ends.push('');
  }

  pause(): void {
    return;
  }

  resume(): void {
    return;
  }

  getPeer(): string {
    return 'pretend';
  }

  getAuthContext(): object {
    return {};
  }
}
