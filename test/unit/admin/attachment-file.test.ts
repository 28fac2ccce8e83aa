/**
 * attachments.json as a daemon finds it. Goal: whatever happened to the file, the daemon either knows
 * exactly what was attached or does not begin, and it never writes over what it could not read.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { AttachmentFile } from '#daemon/admin/attachment-file.js';
import type { AttachmentRecord } from '#daemon/admin/attachment-record.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const root = temporaryFolder();
let folder = '';
let file = '';
let folders = 0;

const RECORD: AttachmentRecord = {
  exportName: 'disk',
  volume: 'v1',
  volumeId: 'id-1',
  node: '127.0.0.1:7600',
  attachmentId: 'a-1',
  readOnly: false,
  attachedUnixMs: 1_700_000_000_000,
};

beforeEach(() => {
  folders += 1;
  folder = path.join(root, String(folders));
  fs.mkdirSync(folder);
  file = path.join(folder, 'attachments.json');
});

describe('AttachmentFile.write', () => {
  it('keeps what is read back, sorted by name, for its owner alone', () => {
    const other = { ...RECORD, exportName: 'another', attachmentId: 'a-2' };
    new AttachmentFile(folder).write([RECORD, other]);
    assert.deepEqual(new AttachmentFile(folder).read(), [other, RECORD]);
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(fs.readdirSync(folder), ['attachments.json']);
  });

  it('says what failed and leaves what was recorded before', () => {
    const attachments = new AttachmentFile(folder);
    attachments.write([RECORD]);
    // A folder in the way of the new file stands for a disk that takes none, also for root.
    fs.mkdirSync(`${file}.new`);
    assert.throws(
      () => attachments.write([]),
      (error: unknown) =>
        error instanceof StorageError &&
        /^what is attached cannot be recorded: EISDIR.* state_directory/.test(error.message),
    );
    assert.deepEqual(attachments.read(), [RECORD]);
  });

  it('replaces a whole file also when one half written was left by a power cut', () => {
    fs.writeFileSync(`${file}.new`, '{"format":1,"attachments":[{"exportName":"to');
    new AttachmentFile(folder).write([RECORD]);
    assert.deepEqual(new AttachmentFile(folder).read(), [RECORD]);
  });
});

describe('AttachmentFile.read', () => {
  it('takes no file for nothing attached', () => {
    assert.deepEqual(new AttachmentFile(folder).read(), []);
  });

  it('does not look at a file that was half written', () => {
    new AttachmentFile(folder).write([RECORD]);
    fs.writeFileSync(`${file}.new`, '{"format":1,"attach');
    assert.deepEqual(new AttachmentFile(folder).read(), [RECORD]);
  });

  it('refuses a file that was cut at any byte', () => {
    const attachments = new AttachmentFile(folder);
    attachments.write([RECORD]);
    const whole = fs.readFileSync(file, 'utf8').trimEnd();
    for (let length = 0; length < whole.length; length += 1) {
      fs.writeFileSync(file, whole.slice(0, length));
      assert.throws(() => attachments.read(), /cannot be used: .*Nothing was changed$/s);
      assert.equal(fs.readFileSync(file, 'utf8').length, length);
    }
  });

  const whole = { format: 1, attachments: [RECORD] };
  const { node: _node, ...withoutNode } = RECORD;
  const refusals: [string, unknown, RegExp][] = [
    [
      'a newer format',
      { ...whole, format: 2 },
      /format 2, this version knows format 1: a newer blkferryd wrote it, use that one/,
    ],
    ['an unknown format', { ...whole, format: 0 }, /format 0, this version knows format 1/],
    ['no format', { attachments: [] }, /format/],
    ['a missing field', { ...whole, attachments: [withoutNode] }, /node/],
    ['a field it does not know', { ...whole, attachments: [{ ...RECORD, extra: 1 }] }, /extra/],
    ['a field of the wrong kind', { ...whole, attachments: [{ ...RECORD, readOnly: 0 }] }, /readO/],
    ['one name twice', { ...whole, attachments: [RECORD, RECORD] }, /has the export disk twice/],
  ];
  for (const [what, content, sentence] of refusals) {
    it(`refuses ${what}, and changes nothing`, () => {
      const text = JSON.stringify(content);
      fs.writeFileSync(file, text);
      assert.throws(
        () => new AttachmentFile(folder).read(),
        (error: unknown) =>
          error instanceof Error &&
          error.message.startsWith(`${file} cannot be used: `) &&
          sentence.test(error.message) &&
          error.message.endsWith('Nothing was changed'),
      );
      assert.equal(fs.readFileSync(file, 'utf8'), text);
    });
  }

  it('does not take a file that cannot be read for nothing attached', () => {
    fs.mkdirSync(file);
    assert.throws(
      () => new AttachmentFile(folder).read(),
      /what is attached cannot be read: EISDIR/,
    );
  });
});
