/**
 * The network between the daemons' machines and the node's: TCP connections that keep the order of what
 * they carry, and nothing else. Messages take time; a direction can be blocked (what is sent waits, as TCP
 * sends again); a connection can break, of which its two ends hear at different times; and what one end sent
 * before it gave the connection up may arrive long after its next connection was opened.
 *
 * What the messages mean is for simulated-client.ts and node-call.ts.
 */
import type { StorageService } from '#daemon/storage-node/storage-service.js';
import type { SeededRandom } from './seeded-random.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { World } from './world.js';

export interface Latency {
  readonly minMs: number;
  readonly maxMs: number;
}

/** The longest that a message of a connection that was given up goes on travelling. */
const LATE_MS_MAX = 4_000;

/** Which way is blocked between one daemon's machine and the node's. */
export class Path {
  #blocked = { toNode: false, toDaemon: false };
  readonly #whenOpen: (() => void)[] = [];

  get isBlocked(): { readonly toNode: boolean; readonly toDaemon: boolean } {
    return this.#blocked;
  }

  block(ways: { toNode: boolean; toDaemon: boolean }): void {
    this.#blocked = { ...ways };
  }

  open(): void {
    this.#blocked = { toNode: false, toDaemon: false };
    for (const callback of this.#whenOpen.splice(0)) callback();
  }

  whenOpen(callback: () => void): void {
    this.#whenOpen.push(callback);
  }
}

interface Message {
  readonly what: string;
  readonly arrivesMs: number;
  readonly action: () => void;
}

/** One direction of a connection: first in, first out. */
class Direction {
  readonly #queue: Message[] = [];
  #pumping = false;
  #lastMs = 0;
  #closed = false;
  addedMs = 0;

  constructor(
    readonly world: World,
    readonly random: SeededRandom,
    readonly latency: () => Latency,
    readonly receiver: SimulatedProcess,
    readonly isBlocked: () => boolean,
    readonly path: Path,
  ) {}

  get waiting(): number {
    return this.#queue.length;
  }

  send(what: string, action: () => void): void {
    if (this.#closed) return;
    const { minMs, maxMs } = this.latency();
    const travelMs = minMs + this.random.next() * (maxMs - minMs) + this.addedMs;
    this.#lastMs = Math.max(this.#lastMs, this.world.nowMs + travelMs);
    this.#queue.push({ what, arrivesMs: this.#lastMs, action });
    this.#pump();
  }

  /** The last message that will ever come. */
  finish(what: string, action: () => void): void {
    this.send(what, action);
    this.#closed = true;
  }

  /** What is on its way does not arrive, from this message on. */
  dropFrom(index: number): void {
    this.#queue.length = Math.min(this.#queue.length, index);
  }

  #pump(): void {
    if (this.#pumping) return;
    const first = this.#queue[0];
    if (first === undefined) return;
    this.#pumping = true;
    this.world.schedule(Math.max(0, first.arrivesMs - this.world.nowMs), () => {
      this.#pumping = false;
      if (this.isBlocked()) {
        this.#pumping = true;
        this.path.whenOpen(() => {
          this.#pumping = false;
          this.#pump();
        });
        return;
      }
      const message = this.#queue.shift();
      if (message !== undefined) this.receiver.deliver(message.action);
      this.#pump();
    });
  }
}

/** Something that lives on a connection and ends with it: a stream, or a call that waits for its answer. */
export interface Carried {
  /** The client's end: the connection is lost. */
  lostAtClient(): void;
  /** The node's end: the connection is lost, or the client cancelled. */
  lostAtNode(): void;
}

export interface ConnectionOptions {
  readonly world: World;
  readonly random: SeededRandom;
  readonly path: Path;
  readonly latency: () => Latency;
  readonly client: SimulatedProcess;
  readonly node: SimulatedProcess;
  /** What runs there; undefined: nothing, and the connection will be refused. */
  readonly service: StorageService | undefined;
}

export class Connection {
  readonly toNode: Direction;
  readonly toDaemon: Direction;
  readonly carried = new Set<Carried>();
  #clientEnd: 'open' | 'closed' = 'open';
  #nodeEnd: 'open' | 'closed' = 'open';

  constructor(readonly options: ConnectionOptions) {
    const { world, random, path, latency, client, node } = options;
    const blockedToNode = (): boolean => path.isBlocked.toNode;
    const blockedToDaemon = (): boolean => path.isBlocked.toDaemon;
    this.toNode = new Direction(world, random, latency, node, blockedToNode, path);
    this.toDaemon = new Direction(world, random, latency, client, blockedToDaemon, path);
    client.whenDead(() => {
      this.giveUpAtClient();
    });
    node.whenDead(() => {
      this.#nodeDied();
    });
  }

  get isOpenAtClient(): boolean {
    return this.#clientEnd === 'open';
  }

  /** Breaks it: each end hears of it in its own time. */
  break(): void {
    const { world, random, client } = this.options;
    world.count('connections cut');
    this.toDaemon.dropFrom(random.between(0, this.toDaemon.waiting));
    world.schedule(random.next() * 50, () => {
      client.deliver(() => {
        this.giveUpAtClient();
      });
    });
  }

  /** The client's end is closed. Part of what it sent may still arrive, perhaps much later, then the end does. */
  giveUpAtClient(): void {
    if (this.#clientEnd === 'closed') return;
    this.#clientEnd = 'closed';
    const { world, random, client } = this.options;
    if (client.isAlive) for (const one of [...this.carried]) one.lostAtClient();
    if (random.chance(0.5)) this.toNode.dropFrom(random.between(0, this.toNode.waiting));
    if (this.toNode.waiting > 0) world.count('messages that arrive after their connection');
    this.toNode.addedMs += random.chance(0.5) ? 0 : random.next() * LATE_MS_MAX;
    this.toNode.finish('end of the connection', () => {
      this.#closeAtNode();
    });
  }

  /** The node's process is gone and its machine says so; part of what was sent back still arrives. */
  resetByNode(): void {
    const { random } = this.options;
    this.toDaemon.dropFrom(random.between(0, this.toDaemon.waiting));
    this.toDaemon.finish('reset', () => {
      this.giveUpAtClient();
    });
  }

  #nodeDied(): void {
    this.#nodeEnd = 'closed';
    this.toNode.dropFrom(0);
  }

  #closeAtNode(): void {
    if (this.#nodeEnd === 'closed') return;
    this.#nodeEnd = 'closed';
    for (const one of [...this.carried]) one.lostAtNode();
    this.carried.clear();
  }
}
