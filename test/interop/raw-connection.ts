/**
 * A socket to an NBD server that sends exactly the bytes it is told, right or wrong, and says exactly
 * what came back. Bytes are made by nbd-bytes.ts.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { GREETING, bytes, hex, option, text, u16, u32 } from '#test/support/nbd-bytes.js';

/** Longer than any answer takes; a server that says nothing fails the test and not the suite. */
const ANSWER_TIMEOUT_MS = 20_000;

/** Fixed newstyle, no zeroes: what every client of today sends. */
export const CLIENT_FLAGS = u32(3);

/** NBD_OPT_GO for an export, without information requests. */
export function go(exportName: string): Buffer {
  return option(7, text(exportName), u16(0));
}

export class RawConnection {
  #received = Buffer.alloc(0);
  #isClosed = false;
  #changed: () => void = () => {};

  private constructor(readonly socket: net.Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#changed();
    });
    // A server that closes while we send resets the connection: that is an end like another.
    socket.on('error', () => {});
    for (const event of ['end', 'close'] as const) {
      socket.on(event, () => {
        this.#isClosed = true;
        this.#changed();
      });
    }
  }

  /** Connected, and nothing read or sent yet. @param where a unix socket, or a port of this machine */
  static async open(where: string | number): Promise<RawConnection> {
    const target = typeof where === 'string' ? { path: where } : { host: '127.0.0.1', port: where };
    const socket = net.connect({ ...target, allowHalfOpen: true });
    const connection = new RawConnection(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return connection;
  }

  /** The greeting is received, the client's flags are sent. */
  static async greeted(where: string | number): Promise<RawConnection> {
    const connection = await RawConnection.open(where);
    assert.deepEqual(await connection.receive(GREETING.length), GREETING);
    connection.send(CLIENT_FLAGS);
    return connection;
  }

  /** In the transmission phase, with simple replies. */
  static async inTransmission(socketPath: string, exportName: string): Promise<RawConnection> {
    const connection = await RawConnection.greeted(socketPath);
    connection.send(go(exportName));
    await connection.receiveUntilAcknowledged(7);
    return connection;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @returns false if the bytes wait in this process because the server does not read */
  send(...parts: readonly Buffer[]): boolean {
    return this.socket.write(bytes(...parts));
  }

  /** Nothing more will be sent; answers are still read. */
  endSending(): void {
    this.socket.end();
  }

  /** @throws AssertionError if the server closes the connection, or says nothing, before that */
  async receive(count: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= count || this.#isClosed);
    assert(
      this.#received.length >= count,
      `closed after ${this.#received.length} of ${count} bytes: ${this.#received.toString('hex')}`,
    );
    const taken = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return taken;
  }

  /** One whole option reply, whose header must name the option. @returns its type and data */
  async receiveOptionReply(optionNumber: number): Promise<{ type: number; data: Buffer }> {
    const header = await this.receive(20);
    assert.deepEqual(header.subarray(0, 12), bytes(hex('0003e889045565a9'), u32(optionNumber)));
    const data = await this.receive(header.readUInt32BE(16));
    return { type: header.readUInt32BE(12), data };
  }

  /** Option replies up to NBD_REP_ACK. @throws AssertionError on an error reply */
  async receiveUntilAcknowledged(optionNumber: number): Promise<void> {
    for (;;) {
      const { type, data } = await this.receiveOptionReply(optionNumber);
      assert(type < 0x8000_0000, `option ${optionNumber} refused: ${data.toString()}`);
      if (type === 1) return;
    }
  }

  /** Everything the server still sends until it closes the connection. */
  async receiveUntilClosed(): Promise<Buffer> {
    await this.#until(() => this.#isClosed);
    return this.#received;
  }

  close(): void {
    this.socket.destroy();
  }

  async #until(isReached: () => boolean): Promise<void> {
    let expired = false;
    const timer = setTimeout(() => {
      expired = true;
      this.#changed();
    }, ANSWER_TIMEOUT_MS);
    try {
      while (!isReached()) {
        assert(!expired, `the server did not answer within ${ANSWER_TIMEOUT_MS} ms`);
        await new Promise<void>((resolve) => {
          this.#changed = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
