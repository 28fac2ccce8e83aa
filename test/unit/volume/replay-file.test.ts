/**
 * The replay files. Goal: what was committed outlives the process, in order; what is torn is left out;
 * what is damaged is refused rather than replayed with a gap.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { rangeRequest, writeRequest } from '#daemon/block/block-request.js';
import { ReplayFile } from '#daemon/volume/replay-file.js';
import { recordBytes } from '#daemon/volume/replay-record.js';
import { ReplayLog } from '#daemon/volume/replay-log.js';

const OWNER = { volumeId: 'v', attachmentId: 'a', bootId: 'boot 1' };
const LIMITS = { bytesMax: 1024 * 1024 * 1024, entriesMax: 100_000 };
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'blkferry-replay-'));
let folder = '';
let folderCount = 0;

function openLog(): { log: ReplayLog; generation: number } {
  const { store, records, identity } = ReplayFile.open(folder, OWNER);
  return { log: new ReplayLog(store, LIMITS, records), generation: identity.generation };
}

function segmentNames(): string[] {
  return fs
    .readdirSync(folder)
    .filter((name) => name.endsWith('.log'))
    .sort();
}

function contents(log: ReplayLog): [number, string, number | undefined][] {
  return [...log.recordsFrom(0)].map(({ sequence, offsetBytes, lengthBytes }) => {
    const request = log.load(sequence, offsetBytes, lengthBytes);
    return [sequence, request.kind, request.payload[0]?.[0]];
  });
}

function sequences(log: ReplayLog): number[] {
  return [...log.recordsFrom(0)].map(({ sequence }) => sequence);
}

beforeEach(() => {
  folderCount += 1;
  folder = path.join(root, String(folderCount));
});

after(() => {
  fs.rmSync(root, { recursive: true });
});

describe('ReplayFile', () => {
  it('gives back what was committed, in order, after the process is gone', () => {
    const { log } = openLog();
    log.append(1, writeRequest(0, Buffer.alloc(512, 1)));
    log.append(2, rangeRequest('trim', 4096, 8192));
    log.append(3, writeRequest(512, [Buffer.alloc(512, 3), Buffer.alloc(512, 4)]));
    log.commit();
    // Not closed: the process was killed.
    const { log: again } = openLog();
    assert.deepEqual(contents(again), [
      [1, 'write', 1],
      [2, 'trim', undefined],
      [3, 'write', 3],
    ]);
    const third = again.load(3, 512, 1024);
    assert.equal(third.offsetBytes, 512);
    assert.deepEqual(third.payload, [Buffer.concat([Buffer.alloc(512, 3), Buffer.alloc(512, 4)])]);
    const half = again.load(3, 1024, 512);
    assert.equal(half.offsetBytes, 1024);
    assert.deepEqual(half.payload, [Buffer.alloc(512, 4)]);
    assert.equal(again.lastSequence, 3);
  });

  it('leaves out a write that was answered with an error', () => {
    const { log } = openLog();
    log.append(1, writeRequest(0, Buffer.alloc(512, 1)));
    log.append(2, writeRequest(0, Buffer.alloc(512, 2)));
    log.remove(1);
    log.commit();
    assert.deepEqual(contents(openLog().log), [[2, 'write', 2]]);
  });

  it('leaves out a record that was torn at any byte, and keeps those before it', () => {
    const { log } = openLog();
    log.append(1, writeRequest(0, Buffer.alloc(64, 1)));
    log.append(2, writeRequest(0, Buffer.alloc(64, 2)));
    log.commit();
    const file = path.join(folder, segmentNames()[0] ?? '');
    const whole = fs.readFileSync(file);
    const oneBytes = whole.length / 2;
    for (let bytes = oneBytes; bytes < whole.length; bytes += 1) {
      fs.writeFileSync(file, whole.subarray(0, bytes));
      for (const name of segmentNames().slice(1)) fs.unlinkSync(path.join(folder, name));
      assert.deepEqual(contents(openLog().log), [[1, 'write', 1]], `cut at byte ${bytes}`);
    }
  });

  it('still knows at the second restart that a torn record was left out at the first', () => {
    const { log } = openLog();
    log.append(1, writeRequest(0, Buffer.alloc(64, 1)));
    log.append(2, writeRequest(0, Buffer.alloc(64, 2)));
    log.commit();
    const file = path.join(folder, segmentNames()[0] ?? '');
    fs.truncateSync(file, fs.statSync(file).size - 10);
    openLog();
    assert.deepEqual(contents(openLog().log), [[1, 'write', 1]]);
  });

  it('does not believe a record whose end has changed', () => {
    const { log } = openLog();
    log.append(1, writeRequest(0, Buffer.alloc(64, 1)));
    log.commit();
    const file = path.join(folder, segmentNames()[0] ?? '');
    const bytes = fs.readFileSync(file);
    bytes.writeUInt8(9, bytes.length - 1);
    fs.writeFileSync(file, bytes);
    assert.deepEqual(contents(openLog().log), []);
  });

  it('refuses damage in the middle: replaying the rest would leave a gap', () => {
    const { log } = openLog();
    const megabyte = Buffer.alloc(1024 * 1024, 7);
    for (let sequence = 1; sequence <= 20; sequence += 1) {
      log.append(sequence, writeRequest(0, megabyte));
      log.commit();
    }
    assert.ok(segmentNames().length >= 3);
    fs.truncateSync(path.join(folder, segmentNames()[0] ?? ''), 1000);
    assert.throws(() => openLog(), /damaged at byte 0.*leave a gap/);
  });

  it('gives segments back when a flush has covered them, and everything when nothing is left', () => {
    const { log } = openLog();
    const megabyte = Buffer.alloc(1024 * 1024, 7);
    for (let sequence = 1; sequence <= 20; sequence += 1) {
      log.append(sequence, writeRequest(0, megabyte));
      log.commit();
    }
    const before = segmentNames().length;
    log.dropBelow(18);
    assert.ok(segmentNames().length < before);
    assert.deepEqual(sequences(openLog().log).slice(-3), [18, 19, 20]);
    log.dropBelow(21);
    assert.equal(log.bytes, 0);
    assert.deepEqual(contents(openLog().log), []);
  });

  it('writes over files that it has given up, and takes nothing that is left in them for a record', () => {
    const { log } = openLog();
    const megabyte = Buffer.alloc(1024 * 1024, 7);
    let sequence = 0;
    for (let round = 0; round < 4; round += 1) {
      for (let count = 0; count < 20; count += 1) {
        sequence += 1;
        log.append(sequence, writeRequest(0, megabyte));
        log.commit();
      }
      // Some rounds end with the log empty, some with a rest in it.
      log.dropBelow(round % 2 === 0 ? sequence + 1 : sequence - 2);
      sequence += 1;
      log.append(sequence, writeRequest(0, Buffer.alloc(512, round)));
      log.commit();
      // What a restart would find, in a copy: this one still runs.
      const copy = `${folder}-${round}`;
      fs.cpSync(folder, copy, { recursive: true });
      const { store, records } = ReplayFile.open(copy, OWNER);
      const found = contents(new ReplayLog(store, LIMITS, records)).map(([one]) => one);
      const kept = sequences(log);
      assert.deepEqual(found.slice(-kept.length), kept, `round ${round}`);
      // More than is kept does no harm, if it is an unbroken suffix of history.
      const first = found[0] ?? 0;
      assert.deepEqual(
        found,
        Array.from({ length: found.length }, (_, index) => first + index),
      );
      assert.deepEqual(contents(log).at(-1), [sequence, 'write', round]);
      log.dropBelow(sequence + 1);
    }
  });

  it('remembers the generation, which a takeover by somebody else makes worthless', () => {
    const { log, generation } = openLog();
    assert.equal(generation, 0);
    log.store.setGeneration(7);
    assert.equal(openLog().generation, 7);
  });

  it('never gives back what was written before the machine was booted, also of the same generation', () => {
    const { log } = openLog();
    log.store.setGeneration(7);
    log.append(1, writeRequest(0, Buffer.alloc(512, 1)));
    log.commit();
    const { store, records, identity, voidBytes } = ReplayFile.open(folder, {
      ...OWNER,
      bootId: 'boot 2',
    });
    assert.deepEqual(records, []);
    assert.equal(identity.generation, 7);
    assert.equal(voidBytes, recordBytes(512));
    const fresh = new ReplayLog(store, LIMITS);
    fresh.append(1, writeRequest(0, Buffer.alloc(512, 2)));
    fresh.commit();
    const again = ReplayFile.open(folder, { ...OWNER, bootId: 'boot 2' });
    assert.equal(again.records.length, 1);
    assert.equal(again.voidBytes, 0);
  });

  it('removes damage of before the boot too: a disk may have kept any part of it', () => {
    for (let segments = 0; segments < 2; segments += 1) {
      const { log } = openLog();
      log.append(1, writeRequest(0, Buffer.alloc(512, 1)));
      log.commit();
    }
    fs.truncateSync(path.join(folder, segmentNames()[0] ?? ''), 100);
    assert.throws(() => ReplayFile.open(folder, OWNER), /is damaged/);
    assert.deepEqual(ReplayFile.open(folder, { ...OWNER, bootId: 'boot 2' }).records, []);
  });

  it('refuses the log of another attachment', () => {
    openLog();
    assert.throws(
      () => ReplayFile.open(folder, { ...OWNER, attachmentId: 'other' }),
      /holds writes of volume v, attachment a, not of v, other/,
    );
  });

  it('leaves no file behind when it is removed', () => {
    const { log } = openLog();
    log.append(1, writeRequest(0, Buffer.alloc(512, 1)));
    log.commit();
    log.store.close({ remove: true });
    assert.equal(fs.existsSync(folder), false);
  });
});
