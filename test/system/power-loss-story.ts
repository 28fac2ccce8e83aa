/**
 * The two halves of the power-loss test, run inside a machine of the lab: `write` fills a volume whose node
 * has its data on a real disk, keeps a journal of what was flushed outside of the machine, and then pulls
 * the plug; `verify` reads everything in the next life of the same disk.
 *
 * usage: node power-loss-story.js write|verify FOLDER-OF-THE-JOURNAL
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { submitAsync } from '#daemon/block/block-device.js';
import {
  BLOCK_FLAG,
  flushRequest,
  readRequest,
  writeRequest,
  joined,
} from '#daemon/block/block-request.js';
import { SeededChance } from '#daemon/cli/selftest/seeded-chance.js';
import { STAMP_BYTES, Stamps } from '#daemon/cli/selftest/stamp.js';
import { runSuccessfully } from '#test/support/program.js';
import { FaultStack } from '#test/faults/fault-stack.js';

const DISK = '/dev/vda';
const MOUNT_POINT = '/tmp/disk';
const OWNER = 'power loss';
const VOLUME_BYTES = 16 * 1024 * 1024;
const BLOCKS = VOLUME_BYTES / STAMP_BYTES;
const BLOCKS_PER_READ = 256;
/** Flushes before the plug is pulled, in the middle of the writes that follow the last. */
const FLUSHES = 30;
const WRITES_PER_FLUSH = 24;
const FUA_EVERY = 7;

/** The machine is emulated, ten times slower than any. */
const PATIENT = {
  BLKFERRY_CONNECT_TIMEOUT: '30s',
  BLKFERRY_RPC_TIMEOUT: '30s',
  BLKFERRY_PROBE_INTERVAL: '5s',
  BLKFERRY_PROBE_TIMEOUT: '30s',
};

/** By block: the serial of the newest write that was flushed, and of the newest that was sent. */
interface Journal {
  durable: Record<string, number>;
  sent: Record<string, number>;
}

async function startStack(): Promise<FaultStack> {
  const dataDirectory = path.join(MOUNT_POINT, 'data');
  fs.mkdirSync('/tmp/stack', { recursive: true });
  return FaultStack.start('/tmp/stack', VOLUME_BYTES, { dataDirectory, daemon: PATIENT });
}

async function mount(): Promise<void> {
  fs.mkdirSync(MOUNT_POINT, { recursive: true });
  await runSuccessfully('mount', ['-t', 'ext4', DISK, MOUNT_POINT]);
}

async function write(journalFile: string): Promise<never> {
  await runSuccessfully('mkfs.ext4', ['-q', '-F', DISK]);
  await mount();
  const stack = await startStack();
  const client = await stack.daemon.connect('v1');
  const stamps = new Stamps(OWNER);
  const chance = new SeededChance(Number(process.env['BLKFERRY_SEED'] ?? 1));
  const journal: Journal = { durable: {}, sent: {} };
  let serial = 0;
  const writeSome = (): Promise<unknown>[] =>
    Array.from({ length: WRITES_PER_FLUSH }, async () => {
      serial += 1;
      const mine = serial;
      const block = chance.below(BLOCKS);
      journal.sent[block] = mine;
      const fua = mine % FUA_EVERY === 0;
      const data = stamps.blocks(block, 1, mine);
      await submitAsync(client, writeRequest(block * STAMP_BYTES, data, fua ? BLOCK_FLAG.FUA : 0));
      if (fua) journal.durable[block] = mine;
    });
  for (let flush = 0; flush < FLUSHES; flush += 1) {
    await Promise.all(writeSome());
    const answered = { ...journal.sent };
    await submitAsync(client, flushRequest());
    journal.durable = answered;
  }
  const last = writeSome();
  // The share belongs to the machine outside: what is in it outlives this one. Written before the plug
  // is pulled, and after the last thing that was promised.
  await last[0];
  fs.writeFileSync(journalFile, JSON.stringify(journal));
  fs.writeFileSync('/proc/sysrq-trigger', 'b');
  return new Promise(() => undefined);
}

async function verify(journalFile: string): Promise<void> {
  const journal = JSON.parse(fs.readFileSync(journalFile, 'utf8')) as Journal;
  await mount();
  const stack = await startStack();
  try {
    const client = await stack.daemon.connect('v1');
    const stamps = new Stamps(OWNER);
    let durable = 0;
    let data: Buffer = Buffer.alloc(0);
    for (let block = 0; block < BLOCKS; block += 1) {
      const index = block % BLOCKS_PER_READ;
      if (index === 0) {
        const lengthBytes = BLOCKS_PER_READ * STAMP_BYTES;
        data = joined(
          (await submitAsync(client, readRequest(block * STAMP_BYTES, lengthBytes))).payload,
        );
      }
      const found = stamps.read(data.subarray(index * STAMP_BYTES, (index + 1) * STAMP_BYTES));
      const least = journal.durable[block] ?? 0;
      const most = journal.sent[block] ?? 0;
      if (least > 0) durable += 1;
      assert(found.kind !== 'strange', `block ${block} ${JSON.stringify(found)}`);
      const serial = found.kind === 'zeroes' ? 0 : found.serial;
      assert(found.kind === 'zeroes' || found.block === block, `block ${block} is misplaced`);
      assert(serial >= least, `block ${block}: write ${serial}, flushed was ${least}`);
      assert(serial <= most, `block ${block}: write ${serial}, sent was ${most}`);
    }
    console.log(`durable blocks found: ${durable}`);
    await client.close();
  } finally {
    await stack.stop();
  }
}

const [what, journalFolder = ''] = process.argv.slice(2);
const journalFile = path.join(journalFolder, 'journal.json');
if (what === 'write') await write(journalFile);
else await verify(journalFile);
