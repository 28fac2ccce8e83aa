/**
 * What every block device must do, whoever implements it: the sentences of block/block-device.ts, one
 * test each. A new backend is done when it passes.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { submitAsync, type BlockDevice } from '#daemon/block/block-device.js';
import {
  BLOCK_FLAG,
  flushRequest,
  rangeRequest,
  readRequest,
  writeRequest,
  joined,
  type BlockRequest,
} from '#daemon/block/block-request.js';
import type { BlockError } from '#daemon/block/block-error.js';

const MIB = 1024 * 1024;
/** Every device under the contract has this size and blocks of 512 bytes. */
export const CONTRACT_BYTES = 40 * MIB;

export interface ContractSubject {
  /** A device whose content is all zeroes. */
  open(): Promise<BlockDevice>;
  /** The same device after it was closed. */
  reopen(): Promise<BlockDevice>;
}

export function blockDeviceContract(name: string, subject: ContractSubject): void {
  describe(`${name} as a BlockDevice`, () => {
    let device: BlockDevice;
    before(async () => {
      device = await subject.open();
    });
    after(async () => {
      await device.close();
    });

    const read = async (offsetBytes: number, lengthBytes: number): Promise<Buffer> =>
      joined((await submitAsync(device, readRequest(offsetBytes, lengthBytes))).payload);
    const write = (offsetBytes: number, data: Buffer | Buffer[], flags = 0): Promise<unknown> =>
      submitAsync(device, writeRequest(offsetBytes, data, flags));

    it('says how large it is', () => {
      assert.equal(device.facts.sizeBytes, CONTRACT_BYTES);
      assert.equal(device.facts.blockBytes, 512);
    });

    it('reads as zeroes where nothing was written', async () => {
      assert.deepEqual(await read(CONTRACT_BYTES - 8192, 8192), Buffer.alloc(8192));
    });

    it('reads back what was written, and the neighbours are untouched', async () => {
      await write(4096, Buffer.alloc(1024, 0xa5));
      assert.deepEqual(
        await read(3584, 2048),
        Buffer.concat([Buffer.alloc(512), Buffer.alloc(1024, 0xa5), Buffer.alloc(512)]),
      );
    });

    it('writes a payload that comes in pieces as one', async () => {
      const pieces = [
        Buffer.alloc(100, 1),
        Buffer.alloc(400, 2),
        Buffer.alloc(12, 3),
        Buffer.alloc(512, 4),
      ];
      await write(65_536 - 512, pieces);
      assert.deepEqual(await read(65_536 - 512, 1024), Buffer.concat(pieces));
    });

    it('writes and reads its first and its last block', async () => {
      await write(0, Buffer.alloc(512, 7));
      await write(CONTRACT_BYTES - 512, Buffer.alloc(512, 8));
      assert.equal((await read(0, 512))[511], 7);
      assert.equal((await read(CONTRACT_BYTES - 512, 512))[0], 8);
    });

    it('takes requests as long as it says', async () => {
      const data = Buffer.alloc(device.facts.requestBytesMax);
      for (let at = 0; at < data.length; at += 4096) data.writeUInt32LE(at + 1, at);
      await write(MIB, data);
      assert.equal(Buffer.compare(await read(MIB, data.length), data), 0);
      await submitAsync(device, rangeRequest('write-zeroes', MIB, data.length));
    });

    it('applies requests that overlap in the order in which they were submitted', async () => {
      const done: Promise<unknown>[] = [];
      for (let value = 1; value <= 50; value += 1) {
        done.push(write(8192 + (value % 3) * 512, Buffer.alloc(1024, value)));
      }
      const seen = read(8192, 2048);
      await Promise.all(done);
      const expected = Buffer.alloc(2048);
      for (let value = 1; value <= 50; value += 1)
        expected.fill(value, (value % 3) * 512, (value % 3) * 512 + 1024);
      assert.deepEqual(
        await seen,
        expected,
        'a read sees every write that was submitted before it',
      );
      assert.deepEqual(await read(8192, 2048), expected);
    });

    it('completes every one of many requests exactly once', async () => {
      const counts = new Map<BlockRequest, number>();
      await new Promise<void>((resolve) => {
        for (let index = 0; index < 500; index += 1) {
          const request =
            index % 2 === 0
              ? readRequest(index * 512, 512)
              : writeRequest(MIB + index * 512, Buffer.alloc(512, index));
          device.submit(request, (completed, result) => {
            assert.equal(result.error, undefined);
            counts.set(completed, (counts.get(completed) ?? 0) + 1);
            if (counts.size === 500) resolve();
          });
        }
      });
      await submitAsync(device, flushRequest());
      assert.deepEqual(new Set(counts.values()), new Set([1]));
    });

    it('reads zeroes after write-zeroes, with and without keeping the space', async () => {
      for (const flags of [0, BLOCK_FLAG.NO_HOLE, BLOCK_FLAG.FUA]) {
        await write(2 * MIB, Buffer.alloc(16_384, 9));
        await submitAsync(device, rangeRequest('write-zeroes', 2 * MIB + 512, 8192, flags));
        const expected = Buffer.concat([
          Buffer.alloc(512, 9),
          Buffer.alloc(8192),
          Buffer.alloc(16_384 - 8704, 9),
        ]);
        assert.deepEqual(await read(2 * MIB, 16_384), expected, `flags ${flags}`);
      }
    });

    it('zeroes and trims ranges that are longer than any read or write may be', async () => {
      assert.ok(device.facts.requestBytesMax < CONTRACT_BYTES);
      const places = [0, 20 * MIB, CONTRACT_BYTES - 512];
      for (const at of places) await write(at, Buffer.alloc(512, 0xee));
      await submitAsync(device, rangeRequest('write-zeroes', 0, CONTRACT_BYTES, BLOCK_FLAG.FUA));
      for (const at of places) assert.deepEqual(await read(at, 512), Buffer.alloc(512));
      await submitAsync(device, rangeRequest('trim', 0, CONTRACT_BYTES, BLOCK_FLAG.FUA));
      await submitAsync(device, rangeRequest('write-zeroes', 0, CONTRACT_BYTES));
    });

    it('reads zeroes between data, in reads short and long', async () => {
      const from = 24 * MIB;
      await submitAsync(device, rangeRequest('trim', from, 8 * MIB));
      await submitAsync(device, rangeRequest('write-zeroes', from, 8 * MIB));
      const expected = Buffer.alloc(8 * MIB);
      for (const [index, lengthBytes] of [512, 4096, 65_536, MIB].entries()) {
        const at = (2 * index + 1) * MIB - 512;
        await write(from + at, Buffer.alloc(lengthBytes, index + 1));
        expected.fill(index + 1, at, at + lengthBytes);
      }
      for (const lengthBytes of [4096, 65_536, 200 * 512, MIB, 8 * MIB]) {
        for (let at = 0; at < expected.length; at += lengthBytes) {
          const end = Math.min(expected.length, at + lengthBytes);
          const data = await read(from + at, end - at);
          assert.equal(Buffer.compare(data, expected.subarray(at, end)), 0, `${end - at} at ${at}`);
        }
      }
    });

    it('gives what was read away: nothing that follows changes it', async () => {
      await write(4 * MIB, Buffer.alloc(65_536, 0x41));
      const early = await read(4 * MIB, 4096);
      await write(4 * MIB, Buffer.alloc(65_536, 0x42));
      for (let index = 0; index < 200; index += 1) await read(4 * MIB + (index % 16) * 4096, 4096);
      assert.deepEqual(early, Buffer.alloc(4096, 0x41));
    });

    it('makes zeroes quickly or says ENOTSUP', async () => {
      const quick = submitAsync(device, rangeRequest('write-zeroes', 0, MIB, BLOCK_FLAG.FAST_ZERO));
      if (device.facts.capabilities.canFastZero) await quick;
      else await assert.rejects(quick, (error: BlockError) => error.errno === 'ENOTSUP');
    });

    it('reads the same at every read after a trim, until written', async () => {
      await write(3 * MIB, Buffer.alloc(131_072, 5));
      await submitAsync(device, rangeRequest('trim', 3 * MIB, 131_072));
      const first = await read(3 * MIB, 131_072);
      assert.deepEqual(await read(3 * MIB, 131_072), first);
      await write(3 * MIB, Buffer.alloc(512, 6));
      assert.deepEqual(await read(3 * MIB, 512), Buffer.alloc(512, 6));
    });

    it('tells data from holes without gaps, from the offset to the end or beyond', async () => {
      await submitAsync(device, rangeRequest('trim', 8 * MIB, 8 * MIB));
      await write(9 * MIB, Buffer.alloc(65_536, 1));
      const { extents } = await submitAsync(device, rangeRequest('block-status', 8 * MIB, 8 * MIB));
      const total = extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
      assert.ok(total >= 8 * MIB || extents.length >= 2);
      let at = 8 * MIB;
      for (const { lengthBytes, zero } of extents) {
        assert.ok(lengthBytes > 0);
        assert.equal(lengthBytes % device.facts.blockBytes, 0, 'extents are whole blocks');
        const end = at + lengthBytes;
        if (zero) {
          assert.ok(end <= 9 * MIB || at >= 9 * MIB + 65_536, 'data is never called zero');
          assert.deepEqual(await read(at, 512), Buffer.alloc(512), 'what is called zero reads so');
        }
        at = end;
      }
      if (device.facts.capabilities.canBlockStatus) assert.ok(extents.some(({ hole }) => hole));
    });

    it('gives one extent when one is asked for', async () => {
      const { extents } = await submitAsync(
        device,
        rangeRequest('block-status', 0, 16 * MIB, BLOCK_FLAG.ONE_EXTENT),
      );
      assert.equal(extents.length, 1);
    });

    it('accepts the hint that a range will be read soon', async () => {
      await submitAsync(device, rangeRequest('cache', 0, MIB));
    });

    it('refuses requests after it was closed, and has what was flushed when it is opened again', async () => {
      await write(5 * MIB, Buffer.alloc(4096, 0x11));
      await write(6 * MIB, Buffer.alloc(4096, 0x22), BLOCK_FLAG.FUA);
      await submitAsync(device, flushRequest());
      await device.close();
      await assert.rejects(
        submitAsync(device, readRequest(0, 512)),
        (error: BlockError) => error.errno === 'ESHUTDOWN',
      );
      await device.close();
      device = await subject.reopen();
      assert.deepEqual(await read(5 * MIB, 4096), Buffer.alloc(4096, 0x11));
      assert.deepEqual(await read(6 * MIB, 4096), Buffer.alloc(4096, 0x22));
    });
  });
}
