/** A request of a session on the node, and those that were received and are not with the backend yet. */
import { carriedBytes, type BlockRequest } from '../block/block-request.js';

/** With what is needed to answer it. One shape for all, made once per request. */
export class NodeJob implements BlockRequest {
  readonly kind: BlockRequest['kind'];
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly flags: number;
  readonly payload: readonly Buffer[];
  readonly carriedBytes: number;
  /** Of a change under way: see FlushOrder. */
  section = -1;

  constructor(
    readonly sequence: number,
    request: BlockRequest,
    requestBytesMax: number,
  ) {
    this.kind = request.kind;
    this.offsetBytes = request.offsetBytes;
    this.lengthBytes = request.lengthBytes;
    this.flags = request.flags;
    this.payload = request.payload;
    const bytes = carriedBytes(request);
    // Longer than allowed: it will be refused, and carries nothing back.
    this.carriedBytes = bytes > requestBytesMax ? 0 : bytes;
  }
}

/** In order. */
export class WaitingJobs {
  #jobs: readonly NodeJob[] = [];
  #next = 0;

  get first(): NodeJob | undefined {
    return this.#jobs[this.#next];
  }

  add(jobs: readonly NodeJob[]): void {
    const rest = this.#jobs.slice(this.#next);
    this.#jobs = rest.length === 0 ? jobs : [...rest, ...jobs];
    this.#next = 0;
  }

  shift(): void {
    this.#next += 1;
  }
}
