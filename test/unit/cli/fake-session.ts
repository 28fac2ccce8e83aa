/**
 * A session of the fake node: answers what has gathered in a turn of the event loop, the last first, and
 * fails as the node was told to.
 */
import { BlockError } from '#daemon/block/block-error.js';
import { DONE, failed, type BlockRequest, type BlockResult } from '#daemon/block/block-request.js';
import type { StorageError } from '#daemon/rpc/storage-error.js';
import type { SessionEvents, StorageSession } from '#daemon/transport/storage-client.js';
import type { VolumeMessage } from '#daemon/rpc/storage-messages.js';

export interface FakeVolume {
  message: VolumeMessage;
  content: Buffer;
}

/** What the sessions of a node have in common: limits, failures, and what they were sent. */
export interface SessionRules {
  readonly received: BlockRequest[];
  inFlightSeenMax: number;
  readonly requestsInFlightMax: number;
  readonly bytesInFlightMax: number;
  readonly requestBytesMax: number;
  readonly canBlockStatus: boolean;
  readonly canFastZero: boolean;
  readonly intercept:
    ((request: BlockRequest, index: number) => BlockResult | undefined) | undefined;
  readonly answerTurns: number;
  readonly endAtRequest: number;
  readonly endReason: StorageError;
  readonly refuseOpen: StorageError | undefined;
  readonly verifierAtFlush: bigint;
  readonly onOpened: (() => void) | undefined;
}

interface Waiting {
  readonly sequence: number;
  readonly request: BlockRequest;
}

export class FakeSession implements StorageSession {
  #waiting: Waiting[] = [];
  #over = false;

  constructor(
    readonly node: SessionRules,
    readonly volume: FakeVolume,
    readonly writer: boolean,
    readonly events: SessionEvents,
  ) {
    setImmediate(() => {
      if (node.refuseOpen !== undefined) this.#end(node.refuseOpen);
      else this.#open();
    });
  }

  send(sequence: number, request: BlockRequest): void {
    if (this.#over) return;
    const index = this.node.received.push(request) - 1;
    if (index >= this.node.endAtRequest) {
      setImmediate(() => {
        this.#end(this.node.endReason);
      });
      return;
    }
    this.#waiting.push({ sequence, request });
    this.node.inFlightSeenMax = Math.max(this.node.inFlightSeenMax, this.#waiting.length);
    if (this.#waiting.length === 1) this.#answerAfter(this.node.answerTurns);
  }

  #answerAfter(turns: number): void {
    setImmediate(() => {
      if (turns > 1) this.#answerAfter(turns - 1);
      else this.#answer();
    });
  }

  close(): void {
    this.#over = true;
  }

  #open(): void {
    if (this.#over) return;
    const { node, volume } = this;
    this.events.opened({
      kind: 'opened',
      writeVerifier: 1n,
      volume: volume.message,
      capabilities: {
        canWrite: this.writer,
        fua: 'emulated',
        canTrim: true,
        canFastZero: node.canFastZero,
        canBlockStatus: node.canBlockStatus,
      },
      preferredBytes: 4096,
      requestBytesMax: node.requestBytesMax,
      checksum: 'crc32c',
      frameSalt: 0,
      requestsInFlightMax: node.requestsInFlightMax,
      bytesInFlightMax: node.bytesInFlightMax,
    });
    node.onOpened?.();
  }

  #end(reason: StorageError): void {
    if (this.#over) return;
    this.#over = true;
    this.events.ended(reason);
  }

  #answer(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    // Executed in order, answered in the opposite one: a node may do both.
    const answers = waiting.map(({ sequence, request }) => {
      const index = this.node.received.indexOf(request);
      const result = this.node.intercept?.(request, index) ?? this.#execute(request);
      return { sequence, request, result };
    });
    for (const { sequence, request, result } of answers.reverse()) {
      if (this.#over) return;
      if (request.kind === 'flush') this.events.verifierSeen(this.node.verifierAtFlush);
      this.#complete(sequence, result);
    }
  }

  /** The events before may have closed the session. */
  #complete(sequence: number, result: BlockResult): void {
    if (!this.#over) this.events.completed(sequence, result);
  }

  #execute(request: BlockRequest): BlockResult {
    const { kind, offsetBytes, lengthBytes } = request;
    const { content } = this.volume;
    const { blockBytes } = this.volume.message;
    const endBytes = offsetBytes + lengthBytes;
    if (offsetBytes % blockBytes !== 0 || lengthBytes % blockBytes !== 0) {
      return failed(new BlockError('EINVAL', `not aligned: ${offsetBytes}, ${lengthBytes}`));
    }
    if (endBytes > content.length) return failed(new BlockError('EINVAL', 'beyond the end'));
    if (!this.writer && kind.startsWith('write')) return failed(new BlockError('EPERM', 'reader'));
    switch (kind) {
      case 'read':
        return { ...DONE, payload: [Buffer.from(content.subarray(offsetBytes, endBytes))] };
      case 'write':
        Buffer.concat(request.payload).copy(content, offsetBytes);
        return DONE;
      case 'write-zeroes':
        content.fill(0, offsetBytes, endBytes);
        return DONE;
      case 'block-status':
        return { ...DONE, extents: extentsOf(content, offsetBytes, endBytes) };
      default:
        return DONE;
    }
  }
}

/** Holes in units of 4096, at most eight extents in an answer. */
function extentsOf(content: Buffer, fromBytes: number, toBytes: number): BlockResult['extents'] {
  const extents: { lengthBytes: number; hole: boolean; zero: boolean }[] = [];
  for (let atBytes = fromBytes; atBytes < toBytes;) {
    const lengthBytes = Math.min(4096 - (atBytes % 4096), toBytes - atBytes);
    const zero = content.subarray(atBytes, atBytes + lengthBytes).every((byte) => byte === 0);
    const last = extents.at(-1);
    if (last?.zero === zero) last.lengthBytes += lengthBytes;
    else if (extents.length === 8) break;
    else extents.push({ lengthBytes, hole: zero, zero });
    atBytes += lengthBytes;
  }
  return extents;
}
