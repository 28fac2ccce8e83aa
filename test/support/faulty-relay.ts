/**
 * A relay between a daemon and its node that behaves as badly as a network: connections are cut, one or
 * both directions stall, everything arrives late, new connections are refused, a bit is flipped. What it
 * does is decided by the test; nothing happens by chance.
 */
import fs from 'node:fs';
import net from 'node:net';

export type Direction = 'to-node' | 'to-daemon';

interface Pipe {
  readonly direction: Direction;
  readonly from: net.Socket;
  readonly to: net.Socket;
}

export class FaultyRelay {
  readonly #server = net.createServer({ allowHalfOpen: true });
  readonly #pipes = new Set<Pipe>();
  readonly #stalled = new Set<Direction>();
  /** Sockets that are not read because of a stall. */
  readonly #stalledPipes = new Set<net.Socket>();
  #refuses = false;
  #delayMs = 0;
  #damage:
    | {
        readonly direction: Direction;
        readonly placeIn: (chunk: Buffer) => number | undefined;
        readonly bit: number;
      }
    | undefined;
  #connections = 0;
  #passedBytes = 0;
  #damages = 0;

  private constructor(
    readonly socketPath: string,
    readonly targetPath: string,
  ) {}

  /** Relays connections to the unix socket `socketPath` on to that of the target. */
  static async start(socketPath: string, targetPath: string): Promise<FaultyRelay> {
    const relay = new FaultyRelay(socketPath, targetPath);
    relay.#server.on('connection', (socket) => {
      relay.#accept(socket);
    });
    fs.rmSync(socketPath, { force: true });
    await new Promise<void>((resolve) => relay.#server.listen(socketPath, resolve));
    return relay;
  }

  get address(): string {
    return `unix:${this.socketPath}`;
  }

  /** Connections accepted so far. */
  get connections(): number {
    return this.#connections;
  }

  /** Bytes that came in so far, both directions. */
  get passedBytes(): number {
    return this.#passedBytes;
  }

  /** Bits flipped so far. */
  get damages(): number {
    return this.#damages;
  }

  /** Breaks every connection; what was on its way is lost. */
  cut(): void {
    for (const { from, to } of [...this.#pipes]) {
      from.destroy();
      to.destroy();
    }
  }

  /** Nothing passes in this direction until `flow`, as behind a router that drops silently. */
  stall(direction: Direction): void {
    this.#stalled.add(direction);
    for (const pipe of this.#pipes) if (pipe.direction === direction) this.#hold(pipe);
  }

  /** What was stalled goes on, with everything that waited, in order. */
  flow(): void {
    this.#stalled.clear();
    this.#stalledPipes.clear();
    for (const { from } of this.#pipes) from.resume();
  }

  /** What was stalled stays so for ever; connections made from now on flow. */
  forgetStalls(): void {
    this.#stalled.clear();
  }

  /** New connections are closed at once, as by a machine without the program. */
  refuse(refuses: boolean): void {
    this.#refuses = refuses;
  }

  /** Every chunk arrives this much later; order is kept. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /**
   * Flips one bit of the next chunk in this direction that has a place for it.
   * @param placeIn the index of a byte in the chunk, or undefined for another chunk
   * @param bit which of the byte, 0 to 7
   */
  damage(direction: Direction, placeIn: (chunk: Buffer) => number | undefined, bit = 4): void {
    this.#damage = { direction, placeIn, bit };
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }

  #accept(daemon: net.Socket): void {
    if (this.#refuses) {
      daemon.destroy();
      return;
    }
    this.#connections += 1;
    const node = net.connect(this.targetPath);
    this.#join('to-node', daemon, node);
    this.#join('to-daemon', node, daemon);
  }

  #join(direction: Direction, from: net.Socket, to: net.Socket): void {
    const pipe: Pipe = { direction, from, to };
    this.#pipes.add(pipe);
    if (this.#stalled.has(direction)) this.#hold(pipe);
    from.on('data', (chunk: Buffer) => {
      this.#passedBytes += chunk.length;
      this.#pass(pipe, this.#damaged(direction, chunk));
    });
    from.on('end', () => {
      this.#after(() => {
        to.end();
      });
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      this.#pipes.delete(pipe);
      this.#stalledPipes.delete(from);
      this.#after(() => {
        to.destroy();
      });
    });
  }

  #hold({ from }: Pipe): void {
    this.#stalledPipes.add(from);
    from.pause();
  }

  #pass({ from, to }: Pipe, chunk: Buffer): void {
    this.#after(() => {
      if (to.destroyed || to.write(chunk)) return;
      from.pause();
      if (to.listenerCount('drain') > 0) return;
      to.once('drain', () => {
        if (!this.#stalledPipes.has(from)) from.resume();
      });
    });
  }

  /** Timers of one length fire in the order in which they were set. */
  #after(work: () => void): void {
    if (this.#delayMs === 0) work();
    else setTimeout(work, this.#delayMs);
  }

  #damaged(direction: Direction, chunk: Buffer): Buffer {
    if (this.#damage?.direction !== direction) return chunk;
    const at = this.#damage.placeIn(chunk);
    if (at === undefined) return chunk;
    const mask = 1 << this.#damage.bit;
    this.#damage = undefined;
    this.#damages += 1;
    const damaged = Buffer.from(chunk);
    damaged.writeUInt8(damaged.readUInt8(at) ^ mask, at);
    return damaged;
  }
}
