/**
 * What the programs keep on disk about themselves: volume records with their leases, and the list of
 * attachments, and whose writes a replay log holds. A damaged file must be told from a whole one. Rules: a text is read, or refused with a sentence
 * that names the file; what is read is read again from what is written of it.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { attachmentsText, parseAttachments } from '#daemon/admin/attachment-file.js';
import { parseVolumeRecord, volumeRecordText } from '#daemon/storage-node/volume-record-file.js';
import { parseReplayIdentity, replayIdentityText } from '#daemon/volume/replay-identity.js';
import { outcomeOf, require, type FuzzTarget } from '../fuzz-target.js';

const BYTES_MAX = 2048;
const FILE = '/data/kept.json';

const HOLDER = {
  attachmentId: 'a1',
  description: 'daemon',
  sinceUnixMs: 1,
  firstGeneration: 2,
};
const VOLUME = {
  format: 1,
  volumeId: 'id-1',
  name: 'v1',
  sizeBytes: 65536,
  blockBytes: 512,
  backend: 'file',
  createdUnixMs: 1,
  generation: 3,
};
const ATTACHMENT = {
  exportName: 'v1',
  volume: 'v1',
  volumeId: 'id-1',
  node: '127.0.0.1:7600',
  attachmentId: 'a1',
  readOnly: false,
  attachedUnixMs: 1,
  device: { index: 0, connections: 1, blockBytes: 512 },
};

/** The only error: one with a sentence that names the file. */
function executeText<Kept>(
  input: Buffer,
  parse: (text: string) => Kept,
  text: (kept: Kept) => string,
): void {
  const kept = outcomeOf(() => parse(input.toString()), Error);
  if (kept instanceof Error) {
    require(kept.message.startsWith(FILE), `refused without the file's name: ${kept.message}`);
    return;
  }
  const again = parse(text(kept));
  // A list is written in its own order.
  const sorted = (value: Kept): unknown =>
    Array.isArray(value) ? value.map((one) => JSON.stringify(one)).sort() : value;
  deepStrictEqual(sorted(again), sorted(kept));
  deepStrictEqual(parse(text(again)), again);
}

/** Values of every kind that JSON has, and texts that are names of something else elsewhere. */
const ODD_VALUES = [0, -1, 1, 1.5, 2 ** 53, 1e300, true, null, '', '__proto__', [], [1], {}, 'a1'];

/**
 * JSON of one of the seeds with odd values in it, where and which the input's bytes say: chance seldom keeps
 * a text JSON.
 */
function oddJson(seeds: readonly Buffer[]): (input: Buffer) => Buffer {
  return (input) => {
    const seed = seeds[(input[0] ?? 0) % seeds.length];
    const value: unknown = JSON.parse(String(seed));
    for (let at = 1; at + 2 < Math.min(input.length, 10); at += 3)
      replaceInside(value, [input[at] ?? 0, input[at + 1] ?? 0], (input[at + 2] ?? 0) % 32);
    return Buffer.from(JSON.stringify(value));
  };
}

function replaceInside(value: unknown, way: readonly number[], choice: number): void {
  if (typeof value !== 'object' || value === null) return;
  const keys = Object.keys(value);
  const key = keys[(way[0] ?? 0) % (keys.length + 1)] ?? 'unknown';
  const inner: unknown = Reflect.get(value, key);
  const goesOn = typeof inner === 'object' && inner !== null && way.length > 1 && choice < 24;
  if (goesOn) replaceInside(inner, way.slice(1), choice);
  else if (choice < ODD_VALUES.length) Reflect.set(value, key, structuredClone(ODD_VALUES[choice]));
  else Reflect.deleteProperty(value, key);
}

function asText(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

const VOLUME_SEEDS = [
  asText(VOLUME),
  asText({ ...VOLUME, holder: HOLDER }),
  asText({ ...VOLUME, format: 2, holder: { ...HOLDER, clientNames: ['x'] } }),
];

export const VOLUME_RECORDS: FuzzTarget = {
  name: 'volume-records',
  bytesMax: BYTES_MAX,
  words: Object.keys({ ...VOLUME, ...HOLDER, clientNames: 0, holder: 0 }).map((key) => `"${key}":`),
  seeds: () => VOLUME_SEEDS,
  repair: oddJson(VOLUME_SEEDS),
  execute: (input) => {
    executeText(input, (text) => parseVolumeRecord(FILE, text), volumeRecordText);
  },
};

const ATTACHMENT_SEEDS = [
  asText({ format: 1, attachments: [] }),
  asText({ format: 1, attachments: [ATTACHMENT, { ...ATTACHMENT, exportName: 'v2' }] }),
];

export const ATTACHMENT_FILE: FuzzTarget = {
  name: 'attachment-file',
  bytesMax: BYTES_MAX,
  words: Object.keys({ ...ATTACHMENT, format: 0, attachments: 0 }).map((key) => `"${key}":`),
  seeds: () => ATTACHMENT_SEEDS,
  repair: oddJson(ATTACHMENT_SEEDS),
  execute: (input) => {
    executeText(input, (text) => parseAttachments(FILE, text), attachmentsText);
  },
};

const IDENTITY_SEEDS = [
  Buffer.from(replayIdentityText({ volumeId: 'v', attachmentId: 'a', bootId: 'b', generation: 3 })),
];

export const REPLAY_IDENTITY: FuzzTarget = {
  name: 'replay-identity',
  bytesMax: BYTES_MAX,
  words: ['"format":3', '"volumeId":', '"attachmentId":', '"bootId":', '"generation":'],
  seeds: () => IDENTITY_SEEDS,
  repair: oddJson(IDENTITY_SEEDS),
  execute: (input) => {
    executeText(input, (text) => parseReplayIdentity(FILE, text), replayIdentityText);
  },
};
