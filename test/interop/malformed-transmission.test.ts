/**
 * Peers that break the rules after they have chosen an export. A request that is only wrong gets its
 * errno and the connection goes on; a stream that cannot be trusted any more ends. Never is anything
 * written that was not received in full, and never does the daemon keep what such peers left.
 */
import assert from 'node:assert/strict';
import { afterEach, before, describe, it } from 'node:test';
import {
  READ,
  bytes,
  hex,
  pattern,
  request,
  simpleReply,
  u16,
  u32,
  u64,
  write,
  type WireRequest,
} from '#test/support/nbd-bytes.js';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import type { NbdExport } from '#test/support/nbd-server-interface.js';
import { nbdServerForSuite } from '#test/support/nbd-server.js';
import { RawConnection } from './raw-connection.js';

const MIB = 1024 * 1024;
const SIZE_BYTES = 64 * MIB;

const ERRNO = { EPERM: 1, EINVAL: 22, ENOSPC: 28 } as const;

const CMD = { read: 0, write: 1, disc: 2, flush: 3, trim: 4, writeZeroes: 6, blockStatus: 7 };

describe('a peer that breaks the rules of transmission', () => {
  const server = nbdServerForSuite();
  let disk: NbdExport;
  let readOnly: NbdExport;

  before(async () => {
    disk = await server().newExport({ sizeBytes: SIZE_BYTES });
    readOnly = await server().newExport({ sizeBytes: MIB, isReadOnly: true });
  });

  afterEach(async () => {
    const proper = await connected();
    proper.send(request(READ));
    assert.deepEqual((await proper.receive(16 + 512)).subarray(0, 16), simpleReply(0, READ.cookie));
    proper.close();
  });

  const connected = (to = disk): Promise<RawConnection> =>
    RawConnection.inTransmission(to.socketPath, to.name);

  /** The request is answered with the error, the next one works. */
  async function expectRefused(
    wrong: WireRequest,
    errno: number,
    peer?: RawConnection,
  ): Promise<void> {
    const refused = peer ?? (await connected());
    refused.send(request(wrong));
    assert.deepEqual(await refused.receive(16), simpleReply(errno, wrong.cookie));
    refused.send(request({ ...READ, cookie: 77n }));
    assert.deepEqual((await refused.receive(16 + 512)).subarray(0, 16), simpleReply(0, 77n));
    refused.close();
  }

  async function expectClosedWithoutAnswer(peer: RawConnection): Promise<void> {
    assert.deepEqual(await peer.receiveUntilClosed(), Buffer.alloc(0));
    peer.close();
  }

  async function readBack(offset: bigint, length: number): Promise<Buffer> {
    const reader = await connected();
    reader.send(request({ ...READ, offset, length }));
    const reply = await reader.receive(16 + length);
    reader.close();
    assert.deepEqual(reply.subarray(0, 16), simpleReply(0, READ.cookie));
    return reply.subarray(16);
  }

  it('is disconnected at a request with a wrong magic', async () => {
    const peer = await connected();
    peer.send(bytes(hex('25609514'), u16(0), u16(0), u64(1), u64(0), u32(512)));
    await expectClosedWithoutAnswer(peer);
  });

  it('is told EINVAL for a command that does not exist', async () => {
    await expectRefused({ ...READ, command: 0x77 }, ERRNO.EINVAL);
  });

  it('is told EINVAL for flags that the command cannot have', async () => {
    for (const flags of [0x8000, 1 << 2, 1 << 4]) {
      await expectRefused({ ...READ, flags }, ERRNO.EINVAL);
    }
  });

  it('is told EINVAL for a block status request that was not negotiated', async () => {
    await expectRefused({ ...READ, command: CMD.blockStatus }, ERRNO.EINVAL);
  });

  it('is told EINVAL for a read behind the end, and ENOSPC for a write', async () => {
    const end = BigInt(SIZE_BYTES);
    await expectRefused({ ...READ, offset: end }, ERRNO.EINVAL);
    await expectRefused({ ...READ, offset: end - 512n, length: 1024 }, ERRNO.EINVAL);
    await expectRefused(write(Buffer.alloc(512), 5n, end), ERRNO.ENOSPC);
    await expectRefused(write(Buffer.alloc(1024), 6n, end - 512n), ERRNO.ENOSPC);
    const zeroes = { ...READ, command: CMD.writeZeroes, offset: end };
    await expectRefused(zeroes, ERRNO.ENOSPC);
    await expectRefused({ ...zeroes, command: CMD.trim }, ERRNO.EINVAL);
  });

  it('is told EINVAL for offsets whose end does not fit into 64 bits', async () => {
    await expectRefused({ ...READ, offset: 0xffff_ffff_ffff_fe00n }, ERRNO.EINVAL);
    await expectRefused(write(Buffer.alloc(1024), 7n, 0xffff_ffff_ffff_fe00n), ERRNO.ENOSPC);
  });

  it('is told EINVAL for what is not aligned to the block size', async () => {
    await expectRefused({ ...READ, offset: 1n }, ERRNO.EINVAL);
    await expectRefused({ ...READ, length: 511 }, ERRNO.EINVAL);
    await expectRefused(write(Buffer.alloc(513), 8n), ERRNO.EINVAL);
    await expectRefused(write(Buffer.alloc(512), 9n, 256n), ERRNO.EINVAL);
  });

  it('is told EINVAL for a read longer than the announced maximum', async () => {
    await expectRefused({ ...READ, length: 32 * MIB + 512 }, ERRNO.EINVAL);
    await expectRefused({ ...READ, length: 0xffff_fe00 }, ERRNO.EINVAL);
  });

  it('is told EPERM for a change of a read-only export', async () => {
    for (const command of [CMD.writeZeroes, CMD.trim]) {
      await expectRefused({ ...READ, command }, ERRNO.EPERM, await connected(readOnly));
    }
    await expectRefused(write(Buffer.alloc(512), 9n, 0n), ERRNO.EPERM, await connected(readOnly));
  });

  it('is told EINVAL for a write above the maximum, whose payload is skipped and never written', async () => {
    const payload = Buffer.alloc(32 * MIB + 512, 0xbb);
    await expectRefused(write(payload, 10n, 0n), ERRNO.EINVAL);
    assert(!(await readBack(0n, 4096)).includes(0xbb));
  });

  it('is disconnected at the header of a write that is too long even to be skipped', async () => {
    for (const length of [64 * MIB + 512, 0xffff_ffff]) {
      const peer = await connected();
      peer.send(request({ ...READ, command: CMD.write, length }));
      await expectClosedWithoutAnswer(peer);
    }
  });

  it('loses only the write in whose payload its connection ends', async () => {
    const peer = await connected();
    const whole = pattern(4096, 3);
    peer.send(request(write(whole, 11n, BigInt(MIB))));
    assert.deepEqual(await peer.receive(16), simpleReply(0, 11n));
    const cut = request(write(Buffer.alloc(4096, 0xcc), 12n, BigInt(MIB + 8192)));
    peer.send(cut.subarray(0, cut.length - 1));
    // The server has the cut request before the connection ends, or it does not: both must be right.
    peer.endSending();
    await expectClosedWithoutAnswer(peer);
    assert.deepEqual(await readBack(BigInt(MIB), 4096), whole);
    assert(!(await readBack(BigInt(MIB + 8192), 4096)).includes(0xcc));
  });

  it('gets every answer it is owed after it closed its sending half', async () => {
    const peer = await connected();
    const payload = pattern(8192, 5);
    const at = BigInt(2 * MIB);
    peer.send(request(write(payload, 13n, at)));
    await peer.receive(16);
    peer.send(
      ...Array.from({ length: 20 }, (_, index) =>
        request({ ...READ, cookie: BigInt(index), offset: at, length: payload.length }),
      ),
    );
    peer.endSending();
    const answers = await peer.receiveUntilClosed();
    assert.equal(answers.length, 20 * (16 + payload.length));
    assert.deepEqual(answers.subarray(16, 16 + payload.length), payload);
    peer.close();
  });

  it('gets every answer it is owed before its NBD_CMD_DISC takes effect', async () => {
    const peer = await connected();
    peer.send(
      request(write(pattern(65536, 6), 14n, BigInt(3 * MIB))),
      request({ ...READ, cookie: 15n }),
      request({ ...READ, command: CMD.disc, length: 0, cookie: 16n }),
    );
    const answers = await peer.receiveUntilClosed();
    assert.equal(answers.length, 16 + 16 + 512);
    peer.close();
  });

  it('is served also if it sends byte after byte', async () => {
    const peer = await connected();
    const payload = pattern(512, 9);
    for (const byte of request(write(payload, 17n, BigInt(4 * MIB)))) {
      peer.send(Buffer.from([byte]));
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
    }
    assert.deepEqual(await peer.receive(16), simpleReply(0, 17n));
    assert.deepEqual(await readBack(BigInt(4 * MIB), 512), payload);
    peer.close();
  });

  it('does not make the daemon keep memory: 300 connections dropped in the middle of a 32 MiB write', async (t) => {
    const stack = server();
    if (!(stack instanceof BlkferryStack)) {
      t.skip('only the memory of blkferryd is known here');
      return;
    }
    const header = request({ ...READ, command: CMD.write, length: 32 * MIB });
    const half = Buffer.alloc(512 * 1024);
    const drop = async (): Promise<void> => {
      const peer = await connected();
      await new Promise<void>((resolve) => {
        peer.socket.write(bytes(header, half), () => {
          resolve();
        });
      });
      peer.close();
    };
    for (let count = 0; count < 100; count += 1) await drop();
    const beforeBytes = stack.daemon.residentBytes;
    for (let count = 0; count < 200; count += 1) await drop();
    const grownBytes = stack.daemon.residentBytes - beforeBytes;
    assert(grownBytes < 48 * MIB, `grown by ${grownBytes} bytes`);
  });
});
