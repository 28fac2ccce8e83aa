/**
 * The least that serves a session: reads give a pattern that their offset decides, writes are kept, pings answered.
 * The same for a call of grpc-js and for one of ours.
 */
import { DONE, type BlockRequest, type BlockResult } from '#daemon/block/block-request.js';
import type { ServedCall } from '#daemon/rpc/served-session.js';
import type { ClientFrame, NodeFrame, OpenFrame } from '#daemon/rpc/storage-messages.js';
import { pattern } from './nbd-bytes.js';

/** An open frame of no particular volume. */
export const OPEN: OpenFrame = {
  kind: 'open',
  volumeId: 'id-v1',
  attachmentId: 'a',
  generation: 0,
  streamIndex: 0,
  checksum: 'none',
  takesHoles: true,
};

export class EchoSession {
  /** `open`, `ping`, `read 512`, `write 512`, `refused`, `end`, `cancelled`. */
  readonly heard: string[] = [];
  readonly written: Buffer[] = [];

  constructor(readonly call: Pick<ServedCall, 'on' | 'write' | 'end'>) {
    call.on('data', (frame) => {
      this.#receive(frame);
    });
    call.on('end', () => {
      this.heard.push('end');
      call.end();
    });
    call.on('cancelled', () => this.heard.push('cancelled'));
    call.on('error', () => undefined);
  }

  #receive(frame: ClientFrame | Error): void {
    if (frame instanceof Error) this.heard.push('refused');
    else if (frame.kind === 'requests') {
      const results = frame.requests.map((request) => this.#result(request));
      this.#send({ kind: 'replies', sequences: frame.sequences, results, writeVerifier: 0n });
    } else {
      this.heard.push(frame.kind);
      this.#send({ kind: 'pong', number: frame.kind === 'open' ? 0 : 1 });
    }
  }

  #result({ kind, offsetBytes, lengthBytes, payload }: BlockRequest): BlockResult {
    this.heard.push(`${kind} ${lengthBytes}`);
    if (kind === 'write') this.written.push(Buffer.concat(payload));
    if (kind !== 'read') return DONE;
    return { ...DONE, payload: [pattern(lengthBytes, offsetBytes)] };
  }

  #send(frame: NodeFrame): void {
    this.call.write(frame, () => undefined);
  }
}
