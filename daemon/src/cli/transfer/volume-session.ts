/**
 * A session on a volume with promises instead of events, for import and export: requests in, results
 * out, and one reason for everything when the session ends. It never reconnects: a transfer that cannot
 * be sure of what the node kept must fail and be run again. A volume under a virtual machine is the
 * business of the volume room.
 */
import { randomUUID } from 'node:crypto';
import { BlockError } from '../../block/block-error.js';
import { payloadBytes, type BlockRequest, type BlockResult } from '../../block/block-request.js';
import type { OpenedFrame } from '../../rpc/storage-messages.js';
import { StorageError } from '../../rpc/storage-error.js';
import type { StorageClient, StorageSession } from '../../transport/storage-client.js';
import { PIECE_BYTES, PIECES_IN_FLIGHT_MAX } from './piece.js';

export interface SessionOpen {
  readonly volumeId: string;
  readonly attachmentId: string;
  /** 0: read-only. */
  readonly generation: number;
}

interface Waiting {
  readonly request: BlockRequest;
  readonly resolve: (result: BlockResult) => void;
  readonly reject: (reason: Error) => void;
}

/** A new attachment id: what the node knows this run of the command by. */
export function newAttachmentId(purpose: 'import' | 'export'): string {
  return `${purpose}-${randomUUID()}`;
}

export class VolumeSession {
  #session: StorageSession | undefined;
  #facts: OpenedFrame | undefined;
  readonly #over = new AbortController();
  #lastSequence = 0;
  readonly #waiting = new Map<number, Waiting>();

  private constructor() {
    // Use VolumeSession.open.
  }

  /**
   * Opens a session; payloads are covered by a checksum where the node can.
   *
   * @param signal ends the session, with its reason, when it is aborted
   * @throws StorageError when the node refuses it or goes away
   */
  static async open(
    client: StorageClient,
    open: SessionOpen,
    signal: AbortSignal,
  ): Promise<VolumeSession> {
    signal.throwIfAborted();
    const opening = new VolumeSession();
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        const reason = toError(signal.reason);
        opening.end(reason);
        reject(reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      opening.#session = client.openSession(
        { ...open, streamIndex: 0, checksum: 'crc32c', takesHoles: true },
        {
          opened: (facts) => {
            opening.#facts = facts;
            resolve();
          },
          completed: (sequence, result) => {
            opening.#complete(sequence, result);
          },
          verifierSeen: (writeVerifier) => {
            opening.#checkVerifier(writeVerifier);
          },
          resized: (sizeBytes) => {
            const sentence = `the volume was resized to ${sizeBytes} bytes meanwhile`;
            opening.end(new StorageError('refused', sentence));
          },
          ended: (reason) => {
            opening.end(reason);
            reject(reason);
          },
        },
      );
    });
    return opening;
  }

  /** Aborted, with the reason, when the session is over: for those who wait for something else meanwhile. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** What the node said when it opened the session. */
  get facts(): OpenedFrame {
    if (this.#facts === undefined) throw new Error('the session has not been opened');
    return this.#facts;
  }

  /** Most bytes of one read or write: a piece, or less if the node takes less. */
  get requestBytes(): number {
    return Math.min(PIECE_BYTES, this.facts.requestBytesMax);
  }

  /** Requests of `requestBytes` that the node and our memory allow in flight. */
  get requestsInFlightMax(): number {
    const { requestsInFlightMax, bytesInFlightMax } = this.facts;
    const byBytes = Math.floor(bytesInFlightMax / this.requestBytes);
    return Math.max(1, Math.min(PIECES_IN_FLIGHT_MAX, requestsInFlightMax, byBytes));
  }

  /**
   * Sends a request; the caller keeps to `requestsInFlightMax`.
   * @throws StorageError when the session is or gets over; BlockError naming the range when the request failed
   */
  submit(request: BlockRequest): Promise<BlockResult> {
    return new Promise((resolve, reject) => {
      if (this.#over.signal.aborted) {
        reject(toError(this.#over.signal.reason));
        return;
      }
      this.#lastSequence += 1;
      this.#waiting.set(this.#lastSequence, { request, resolve, reject });
      this.#session?.send(this.#lastSequence, request);
    });
  }

  /** Ends the session for this reason: what is unanswered, and every later submit, rejects with it. */
  end(reason: Error): void {
    if (this.#over.signal.aborted) return;
    this.#session?.close();
    for (const waiting of this.#waiting.values()) waiting.reject(reason);
    this.#waiting.clear();
    this.#over.abort(reason);
  }

  close(): void {
    this.end(new StorageError('unavailable', 'the session was closed'));
  }

  #complete(sequence: number, result: BlockResult): void {
    const waiting = this.#waiting.get(sequence);
    if (waiting === undefined) {
      this.end(new StorageError('internal', `the node answered request ${sequence}, never sent`));
      return;
    }
    this.#waiting.delete(sequence);
    const problem = describeProblem(waiting.request, result);
    if (problem === undefined) waiting.resolve(result);
    else waiting.reject(problem);
  }

  /** The verifier says which run of the node holds our writes: with another one they may be lost. */
  #checkVerifier(writeVerifier: bigint): void {
    if (writeVerifier === this.facts.writeVerifier) return;
    this.end(
      new StorageError(
        'unavailable',
        'the node was restarted and may have lost what it had not written to its disk',
      ),
    );
  }
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** @returns why the answer is not what was asked for, or undefined when it is. */
function describeProblem(request: BlockRequest, result: BlockResult): Error | undefined {
  const { kind, offsetBytes, lengthBytes } = request;
  const range = kind === 'flush' ? '' : ` of ${lengthBytes} bytes at ${offsetBytes}`;
  if (result.error !== undefined) {
    const { errno, reason } = result.error;
    return new BlockError(errno, `${kind}${range} failed: ${reason}`, { cause: result.error });
  }
  const got = payloadBytes(result.payload);
  if (kind === 'read' && got !== lengthBytes) {
    return new StorageError('internal', `${kind}${range} was answered with ${got} bytes`);
  }
  if (kind === 'block-status' && result.extents.length === 0) {
    return new StorageError('internal', `${kind}${range} was answered without extents`);
  }
  return undefined;
}
