/** The two processes of a way, connected, and measured while one has a load for the other. */
import { fileURLToPath } from 'node:url';
import { NODE_WORDS } from '../blkferry.mjs';
import { measureCpu, start } from '../program.mjs';

const isReady = (output) => output.includes('ready');

function startEnd(name, words) {
  const program = fileURLToPath(new URL(name, import.meta.url));
  const options = { hasChannel: true };
  return start(process.execPath, [...NODE_WORDS, program, ...words], isReady, options);
}

export class WayPair {
  constructor(way, near, far) {
    this.way = way;
    this.near = near;
    this.far = far;
  }

  /** @param certificates their folder */
  static async start(way, certificates) {
    const protection = way.isTls ? [certificates] : [];
    const far = await startEnd('far-program.mjs', [way.kind, ...protection]);
    const address = /ready: (\S+)/.exec(far.output())[1];
    try {
      const near = await startEnd('near-program.mjs', [way.kind, address, ...protection]);
      return new WayPair(way, near, far);
    } catch (error) {
      await far.stop();
      throw error;
    }
  }

  /** @returns requests a second, CPU microseconds of one at both ends, p50 of loads with one at a time */
  async measure(load, seconds) {
    const cpu = measureCpu([this.near.pid, this.far.pid]);
    const { requests, seconds: taken, p50Microseconds } = await this.near.ask({ load, seconds });
    const [near, far] = cpu.microseconds().map((microseconds) => microseconds / requests);
    return {
      requestsPerSecond: requests / taken,
      cpuMicroseconds: { near, far },
      p50Microseconds,
    };
  }

  async stop() {
    await this.near.stop();
    await this.far.stop();
  }
}
