#!/usr/bin/env node
/**
 * The near end of a way: on each message {load, seconds} it keeps so many requests under way for that time, and answers
 * with how many were answered, in which time, and the median latency where there is one at a time.
 *
 * usage: node near-program.mjs KIND ADDRESS [CERTIFICATES]   ends with whoever started it
 */
import { payloadBytes, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { median } from '../statistics.mjs';
import { loadMaterial } from './certificates.mjs';
import { connectNear } from './near-stream.mjs';

const MILLISECONDS = 1000;
/** In the daemon each request is a new object, and its data comes from a client; here it is the same data. */
const MEMORY = Buffer.alloc(2 ** 20, 0x5a);

class LoadRun {
  #sequence = 0;
  #answered = 0;
  #underWay = 0;
  /** Answered in this turn: to be asked for again. */
  #free = 0;
  #startMs = performance.now();
  #sentMs = 0;
  #latencies = [];

  /** @param onEnd called with the result when everything is answered */
  constructor(stream, load, seconds, onEnd) {
    this.stream = stream;
    this.load = load;
    this.endMs = this.#startMs + seconds * MILLISECONDS;
    this.onEnd = onEnd;
    this.#free = load.depth;
    this.#fill();
  }

  receive({ results }) {
    const { kind, lengthBytes, depth } = this.load;
    const expected = kind === 'read' ? lengthBytes : 0;
    for (const { error, payload } of results) {
      if (error !== undefined || payloadBytes(payload) !== expected)
        throw new Error(`a ${kind} was answered with ${payloadBytes(payload)} bytes`);
    }
    const nowMs = performance.now();
    if (depth === 1) this.#latencies.push(nowMs - this.#sentMs);
    this.#answered += results.length;
    this.#underWay -= results.length;
    if (nowMs >= this.endMs) {
      this.#free = 0;
      if (this.#underWay === 0) this.#end(nowMs);
      return;
    }
    if (this.#free === 0) globalThis.queueMicrotask(() => this.#fill());
    this.#free += results.length;
  }

  #fill() {
    while (this.#free > 0) {
      const count = Math.min(this.#free, this.load.frameRequests);
      this.#free -= count;
      this.#send(count);
    }
  }

  #send(count) {
    const { kind, lengthBytes } = this.load;
    const sequences = [];
    const requests = [];
    for (let index = 0; index < count; index += 1) {
      const offsetBytes = this.#sequence * lengthBytes;
      sequences.push(this.#sequence);
      requests.push(
        kind === 'read'
          ? readRequest(offsetBytes, lengthBytes)
          : writeRequest(offsetBytes, MEMORY.subarray(0, lengthBytes)),
      );
      this.#sequence += 1;
    }
    this.#underWay += count;
    this.#sentMs = performance.now();
    this.stream.write({ kind: 'requests', sequences, requests });
  }

  #end(nowMs) {
    const latencies = this.#latencies;
    this.onEnd({
      requests: this.#answered,
      seconds: (nowMs - this.#startMs) / MILLISECONDS,
      ...(latencies.length === 0 ? {} : { p50Microseconds: MILLISECONDS * median(latencies) }),
    });
  }
}

const [kind, address, certificates] = process.argv.slice(2);
const stream = await connectNear(kind, address, loadMaterial(certificates));
let run;
stream.on('data', (frame) => {
  if (frame instanceof Error) throw frame;
  run.receive(frame);
});
process.on('message', ({ load, seconds }) => {
  run = new LoadRun(stream, load, seconds, (result) => process.send(result));
});
process.once('disconnect', () => process.exit());
process.stdout.write('ready\n');
