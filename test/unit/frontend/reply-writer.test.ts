/**
 * What an NBD client is sent for a read over holes: chunks where replies come in chunks, zeroes everywhere else. The
 * bytes come from support/nbd-bytes.ts, which knows nothing of ours.
 *
 *   the read   |-- hole --|## data ##|-- hole --|
 *   bytes      0         512       1024       2048
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NBD_CMD_FLAG, type NbdRequest, type ReplyKind } from 'nbd-server-helpers';
import { DONE } from '#daemon/block/block-request.js';
import { zeroPiece } from '#daemon/block/zeroes.js';
import { NbdJob, toNbdJob } from '#daemon/frontend/nbd-job.js';
import { ReplyWriter } from '#daemon/frontend/reply-writer.js';
import { letGo, takeSlab } from '#daemon/runtime/reused-memory.js';
import { collected, socketPairs } from '#test/support/connection-pair.js';
import { bytes, chunk, extendedChunk, simpleReply, u32, u64 } from '#test/support/nbd-bytes.js';

const COOKIE = 0x1122334455667788n;
const OFFSET = 2 ** 40 + 4096;
const LENGTH = 2048;
const DATA = Buffer.alloc(512, 0xa5);
const MIXED = [zeroPiece(512), DATA.subarray(0, 100), DATA.subarray(100), zeroPiece(1024)];
/** Two pieces, as when a hole lies across two reads that were made ahead. */
const HOLE = [zeroPiece(1024), zeroPiece(1024)];
const PLAIN = [Buffer.alloc(LENGTH, 1)];
const AS_ZEROES = bytes(Buffer.alloc(512), DATA, Buffer.alloc(1024));

function job(flags: number): NbdJob {
  const request: NbdRequest = {
    command: 0,
    flags,
    cookieHigh: 0x11223344,
    cookieLow: 0x55667788,
    offsetBytes: OFFSET,
    lengthBytes: LENGTH,
    payload: [],
    oversized: false,
  };
  const agreed = { structuredReplies: true, extendedHeaders: false, blockStatus: false };
  const made = toNbdJob(request, agreed);
  assert.ok(made instanceof NbdJob);
  return made;
}

describe('ReplyWriter of a read over holes', () => {
  const pair = socketPairs();

  /** What the client receives. */
  async function answered(
    replyKind: ReplyKind,
    payload: readonly Buffer[],
    flags = 0,
  ): Promise<Buffer> {
    const { near, far } = await pair();
    const received = collected(near);
    const ended = new Promise((resolve) => near.once('end', resolve));
    const writer = new ReplyWriter(far, { replyKind, metaContexts: [] });
    writer.completed(job(flags), { ...DONE, payload });
    writer.flush();
    far.end();
    await ended;
    return received();
  }

  it('is a chunk for each part of it, the last one marked', async () => {
    assert.deepEqual(
      await answered('structured', MIXED),
      bytes(
        chunk(0, 2, COOKIE, u64(OFFSET), u32(512)),
        chunk(0, 1, COOKIE, u64(OFFSET + 512), DATA),
        chunk(1, 2, COOKIE, u64(OFFSET + 1024), u32(1024)),
      ),
    );
  });

  it('is the same with extended headers, which all tell the offset of the request', async () => {
    assert.deepEqual(
      await answered('extended', MIXED),
      bytes(
        extendedChunk(0, 2, COOKIE, OFFSET, u64(OFFSET), u32(512)),
        extendedChunk(0, 1, COOKIE, OFFSET, u64(OFFSET + 512), DATA),
        extendedChunk(1, 2, COOKIE, OFFSET, u64(OFFSET + 1024), u32(1024)),
      ),
    );
  });

  it('is one chunk of data if it must not be divided, and has data in it', async () => {
    assert.deepEqual(
      await answered('structured', MIXED, NBD_CMD_FLAG.DF),
      chunk(1, 1, COOKIE, u64(OFFSET), AS_ZEROES),
    );
  });

  it('is one chunk if all of it is a hole, also where it must not be divided', async () => {
    const whole = chunk(1, 2, COOKIE, u64(OFFSET), u32(LENGTH));
    assert.deepEqual(await answered('structured', HOLE), whole);
    assert.deepEqual(await answered('structured', HOLE, NBD_CMD_FLAG.DF), whole);
  });

  it('is zeroes in a simple reply', async () => {
    assert.deepEqual(await answered('simple', MIXED), simpleReply(0, COOKIE, AS_ZEROES));
  });

  it('is one chunk of data where there are no holes', async () => {
    assert.deepEqual(
      await answered('structured', PLAIN),
      chunk(1, 1, COOKIE, u64(OFFSET), ...PLAIN),
    );
  });
});

describe('the data of a read', () => {
  const pair = socketPairs();
  const LARGE = 256 * 1024;

  function largeJob(): NbdJob {
    return new NbdJob('read', 0, LARGE, 0, [], 1, 2, false);
  }

  it('is let go of when the kernel has it, and not before', async () => {
    const { near, far } = await pair();
    const writer = new ReplyWriter(far, { replyKind: 'simple', metaContexts: [] });
    // More than the kernel takes at once of a client that does not read.
    const slabs = Array.from({ length: 40 }, (_, index) => takeSlab(LARGE).fill(index));
    for (const slab of slabs) writer.completed(largeJob(), { ...DONE, payload: [slab] });
    writer.flush();
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(slabs.every(({ length }) => length === LARGE));
    const received = collected(near);
    const ended = new Promise((resolve) => near.once('end', resolve));
    far.end();
    await ended;
    const reply = bytes(u32(0x67446698), u32(0), u32(1), u32(2));
    const expected = slabs.flatMap((_, index) => [reply, Buffer.alloc(LARGE, index)]);
    assert.equal(received().compare(Buffer.concat(expected)), 0);
    assert.ok(slabs.every(({ length }) => length === 0));
  });

  it('is let go of at once where it is copied', async () => {
    const { far } = await pair();
    const writer = new ReplyWriter(far, { replyKind: 'simple', metaContexts: [] });
    const slab = takeSlab(LENGTH);
    writer.completed(job(0), { ...DONE, payload: [slab] });
    assert.equal(slab.length, 0);
  });

  it('that is not all there ends the program rather than to shift all that follows', async () => {
    const { far } = await pair();
    const writer = new ReplyWriter(far, { replyKind: 'simple', metaContexts: [] });
    const slab = takeSlab(LENGTH);
    letGo(slab);
    assert.throws(() => {
      writer.completed(job(0), { ...DONE, payload: [slab] });
    }, /as long as it was asked for/);
  });
});
