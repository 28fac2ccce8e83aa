/**
 * Frames over a bare socket, each behind its length in four bytes and nothing else: the least that could carry them.
 * Written and received as session-connection.ts does it: heads gathered, payloads sent from where they lie, and views
 * onto what was received. Without limits, which a product would need.
 */
import { EventEmitter } from 'node:events';
import { WriteGatherer } from '#daemon/runtime/write-gatherer.js';

const PREFIX_BYTES = 4;

/** Events: `data` (a decoded frame), `error`. */
export class BareStream extends EventEmitter {
  #gatherer;
  #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixBytes = 0;
  /** Of the frame under way: bytes to come, and those there. */
  #missingBytes = 0;
  #pieces = [];

  /** @param codec {encode: frame to LazyBatch, decode: pieces to frame} */
  constructor(socket, codec) {
    super();
    this.socket = socket;
    this.codec = codec;
    this.#gatherer = new WriteGatherer(socket);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.emit('error', error));
  }

  write(frame) {
    const batch = this.codec.encode(frame);
    const slab = this.#gatherer.reserve(PREFIX_BYTES + batch.headBytes);
    const start = slab.writeUInt32BE(batch.length, this.#gatherer.position);
    this.#gatherer.advance(batch.writeHead(slab, start));
    for (const piece of batch.payload) this.#gatherer.push(piece);
    this.#gatherer.flush();
  }

  #receive(chunk) {
    for (let at = 0; at < chunk.length;) {
      if (this.#prefixBytes < PREFIX_BYTES) {
        at = this.#takePrefix(chunk, at);
        continue;
      }
      const end = Math.min(chunk.length, at + this.#missingBytes);
      this.#pieces.push(chunk.subarray(at, end));
      this.#missingBytes -= end - at;
      at = end;
      if (this.#missingBytes === 0) this.#whole();
    }
  }

  #takePrefix(chunk, at) {
    const end = at + PREFIX_BYTES - this.#prefixBytes;
    const taken = chunk.copy(this.#prefix, this.#prefixBytes, at, end);
    this.#prefixBytes += taken;
    if (this.#prefixBytes === PREFIX_BYTES) this.#missingBytes = this.#prefix.readUInt32BE();
    return at + taken;
  }

  #whole() {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#prefixBytes = 0;
    this.emit('data', this.codec.decode(pieces));
  }
}
