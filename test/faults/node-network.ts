/**
 * A node's own network: a namespace of the kernel's with two cables to this one, each of which can be pulled
 * or made bad. Addresses are of a range that no network routes (RFC 2544); names carry the process id.
 */
import { runProgram, runSuccessfully } from '#test/support/program.js';

const WAYS = [1, 2] as const;
export type Way = (typeof WAYS)[number];
export type Direction = 'to-node' | 'to-daemon';
export const DIRECTIONS: readonly [Direction, Direction] = ['to-node', 'to-daemon'];

/** Ours alone: nobody else listens in the namespace. */
const PORT = 7600;

export class NodeNetwork {
  readonly #space = `blkferry-${process.pid}`;

  /** @returns why there can be none here, or undefined */
  static async problem(): Promise<string | undefined> {
    const network = new NodeNetwork();
    try {
      await network.make();
      return undefined;
    } catch (error) {
      return (error as Error).message.trim().split('\n').at(-1) ?? '';
    } finally {
      await network.remove();
    }
  }

  /** @throws AssertionError with the system's words; `remove` takes away what was made */
  async make(): Promise<void> {
    await this.#ip('netns', 'add', this.#space);
    await this.#inNode('ip', 'link', 'set', 'lo', 'up');
    for (const way of WAYS) {
      const [ours, nodes] = [this.#ours(way), `eth${way}`];
      await this.#ip(
        ...['link', 'add', ours, 'type', 'veth'],
        ...['peer', 'name', nodes, 'netns', this.#space],
      );
      await this.#ip('address', 'add', `${this.#net(way)}.1/24`, 'dev', ours);
      await this.#inNode('ip', 'address', 'add', `${this.#net(way)}.2/24`, 'dev', nodes);
      await this.#ip('link', 'set', ours, 'up');
      await this.#inNode('ip', 'link', 'set', nodes, 'up');
    }
  }

  /** Takes away whatever is there. */
  async remove(): Promise<void> {
    // The cables go with their ends in the namespace, which goes when its last process has.
    for (const way of WAYS) await runProgram('ip', ['link', 'del', this.#ours(way)]);
    await runProgram('ip', ['netns', 'del', this.#space]);
  }

  /** What a node must listen at to be reached by both ways. */
  get listen(): string {
    return `0.0.0.0:${PORT}`;
  }

  get addresses(): string {
    return WAYS.map((way) => `${this.#net(way)}.2:${PORT}`).join(',');
  }

  /** Words that make a command one of the namespace's. */
  get prefix(): readonly string[] {
    return ['ip', 'netns', 'exec', this.#space];
  }

  /** At the node's end: here the cable is without a signal, and packets for the node go nowhere. */
  async pull(way: Way): Promise<void> {
    await this.#inNode('ip', 'link', 'set', `eth${way}`, 'down');
  }

  async plug(way: Way): Promise<void> {
    await this.#inNode('ip', 'link', 'set', `eth${way}`, 'up');
  }

  /** Whether this kernel can make a way bad (sch_netem). */
  async canDisturb(): Promise<boolean> {
    const words = ['qdisc', 'replace', 'dev', this.#ours(1), 'root', 'netem', 'delay', '0ms'];
    if ((await runProgram('tc', words)).status !== 0) return false;
    await this.calm(1, 'to-node');
    return true;
  }

  /** @param disturbance as tc-netem(8) has it: "loss 5%", "delay 20ms 10ms reorder 25%" */
  async disturb(way: Way, direction: Direction, disturbance: string): Promise<void> {
    await this.#tc(direction, way, 'replace', 'root', 'netem', ...disturbance.split(' '));
  }

  async calm(way: Way, direction: Direction): Promise<void> {
    await this.#tc(direction, way, 'del', 'root');
  }

  async #tc(direction: Direction, way: Way, verb: string, ...words: string[]): Promise<void> {
    const at = direction === 'to-node' ? this.#ours(way) : `eth${way}`;
    const command = ['tc', 'qdisc', verb, 'dev', at, ...words];
    if (direction === 'to-daemon') await this.#inNode(...command);
    else await runSuccessfully('tc', command.slice(1));
  }

  async #ip(...words: readonly string[]): Promise<void> {
    await runSuccessfully('ip', words);
  }

  async #inNode(...command: readonly string[]): Promise<void> {
    await this.#ip(...this.prefix.slice(1), ...command);
  }

  /** Two nets for each process: suites may run side by side. */
  #net(way: Way): string {
    return `198.${17 + way}.${process.pid % 256}`;
  }

  /** At most 15 characters, as the kernel wants it. */
  #ours(way: Way): string {
    return `bf${process.pid}w${way}`;
  }
}
