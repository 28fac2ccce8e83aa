/** What a file of the replay log must be to be sent again: anything else ends the log, or is refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseReplayIdentity, replayIdentityText } from '#daemon/volume/replay-identity.js';
import { Gatherer } from '#daemon/runtime/gatherer.js';
import { pushRecord, readRecords } from '#daemon/volume/replay-record.js';
import type { ReplayRecord } from '#daemon/volume/replay-store.js';

const WRITE: ReplayRecord = {
  sequence: 9,
  operation: 2,
  flags: 0,
  offsetBytes: 4096,
  lengthBytes: 512,
};

/** One record with a digest that fits. */
function record(changes: Partial<ReplayRecord>, payloadBytes: number): Buffer {
  const pieces = new Gatherer(4096);
  const payload = payloadBytes === 0 ? [] : [Buffer.alloc(payloadBytes, 1)];
  pushRecord(pieces, { ...WRITE, ...changes }, 1, payload);
  return Buffer.concat(pieces.take());
}

describe('pushRecord', () => {
  it('writes what earlier versions read, and they wrote', () => {
    const pieces = new Gatherer(4096);
    const numbers = {
      sequence: 2 ** 40 + 7,
      flags: 1,
      offsetBytes: 2 ** 33 + 4096,
      lengthBytes: 3,
    };
    pushRecord(pieces, { ...WRITE, ...numbers }, 9, [Buffer.from('abc')]);
    assert.equal(
      Buffer.concat(pieces.take()).toString('hex'),
      ['42465233', '6756bd62', '0000010000000007', '00000102', '00000003', '0000000200001000'].join(
        '',
      ) + ['0000000000000003', '00000009', '616263', '6756bd62', '98a9429d'].join(''),
    );
  });
});

describe('readRecords', () => {
  const goodBytes = (bytes: Buffer): number => readRecords(bytes, 1).goodBytes;

  it('takes a write with as much data as it is long, a trim and a removal without', () => {
    const write = record({}, 512);
    assert.equal(goodBytes(write), write.length);
    assert.equal(goodBytes(record({ operation: 4 }, 0)), 44);
    assert.equal(goodBytes(record({ operation: 255, offsetBytes: 0, lengthBytes: 0 }, 0)), 44);
  });

  it('ends before a write whose end is not there, whatever lies in its place', () => {
    const write = record({}, 512);
    for (let from = write.length - 8; from < write.length; from += 1) {
      for (const fill of [0, 0xff, 1]) {
        const torn = Buffer.from(write).fill(fill, from);
        if (!torn.equals(write)) assert.equal(goodBytes(torn), 0, `from byte ${from}`);
      }
      assert.equal(goodBytes(write.subarray(0, from)), 0);
    }
    const older = record({ sequence: 8 }, 512);
    const over = Buffer.concat([write.subarray(0, -8), older.subarray(-8)]);
    assert.equal(goodBytes(over), 0, 'the end of what was there before');
  });

  it('ends before a header that was changed in any bit', () => {
    const write = record({}, 512);
    for (let bit = 0; bit < 44 * 8; bit += 1) {
      const changed = Buffer.from(write);
      changed[bit >>> 3] = (changed[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(goodBytes(changed), 0, `bit ${bit}`);
    }
  });

  it('ends before a write with more or less data than it is long', () => {
    assert.equal(goodBytes(record({}, 511)), 0);
    assert.equal(goodBytes(record({}, 513)), 0);
  });

  it('ends before a trim that carries data', () => {
    assert.equal(goodBytes(record({ operation: 4 }, 512)), 0);
  });

  it('ends before an operation that changes nothing, or is unknown', () => {
    for (const operation of [0, 1, 3, 6, 77]) assert.equal(goodBytes(record({ operation }, 0)), 0);
  });

  it('ends before a range beyond 2^53 - 1', () => {
    assert.equal(goodBytes(record({ operation: 4, offsetBytes: 2 ** 53 - 512 }, 0)), 0);
    assert.equal(goodBytes(record({ operation: 4, offsetBytes: 2 ** 53 - 513 }, 0)), 44);
  });
});

describe('parseReplayIdentity', () => {
  const identity = { volumeId: 'v', attachmentId: 'a', bootId: 'b', generation: 3 };

  it('reads what was written', () => {
    assert.deepEqual(parseReplayIdentity('f', replayIdentityText(identity)), identity);
  });

  it('refuses another format by its number', () => {
    assert.throws(() => parseReplayIdentity('f', '{"format":2}'), /^Error: f has format 2;/);
  });

  it('refuses what is cut, empty or lacks a name, and says what to do', () => {
    const whole = replayIdentityText(identity);
    for (const text of ['', whole.slice(0, -1), '[]', '{"format":3}', whole.replace('"v"', '""')])
      assert.throws(() => parseReplayIdentity('f', text), /f is damaged: .* move the folder away/);
  });
});
