/** The file of pre-shared keys: what psktool writes is read, anything else is refused with its line, and no key told. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { PSK_BYTES_MAX, PSK_BYTES_MIN, PreSharedKeys } from '#daemon/security/pre-shared-keys.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const digits = (bytes: number): string => 'a5'.repeat(bytes);

describe('PreSharedKeys', () => {
  it('finds the key of each name, and none for another', () => {
    const keys = PreSharedKeys.fromText(`alice:${digits(32)}\n\nbob:${digits(16)}\n`, 'f');
    assert.deepEqual(keys.keyOf('alice'), Buffer.alloc(32, 0xa5));
    assert.deepEqual(keys.keyOf('bob'), Buffer.alloc(16, 0xa5));
    assert.equal(keys.keyOf('carol'), undefined);
  });

  it('takes keys of both limits, and none beyond', () => {
    for (const bytes of [PSK_BYTES_MIN, PSK_BYTES_MAX])
      assert.equal(PreSharedKeys.fromText(`a:${digits(bytes)}`, 'f').keyOf('a')?.length, bytes);
    for (const bytes of [PSK_BYTES_MIN - 1, PSK_BYTES_MAX + 1])
      assert.throws(
        () => PreSharedKeys.fromText(`a:${digits(bytes)}`, 'f'),
        new RegExp(`f: line 1: the key of a has ${bytes} bytes, 16 to 256 are possible`),
      );
  });

  it('refuses lines of another form, a name twice and a file without keys, and tells no key', () => {
    const refusal = (text: string): string => {
      try {
        PreSharedKeys.fromText(text, 'f');
      } catch (error) {
        return (error as Error).message;
      }
      return 'accepted';
    };
    assert.match(refusal(`alice ${digits(32)}`), /^f: line 1 is not NAME:KEY/);
    assert.match(refusal(`alice:${digits(32)}x`), /^f: line 1 is not NAME:KEY/);
    assert.doesNotMatch(refusal(`alice:${digits(32)}x`), /a5a5/);
    assert.match(refusal(`a:${digits(32)}\na:${digits(32)}`), /^f: line 2: a has a key before/);
    assert.match(refusal('\n'), /^f has no key: nobody could connect/);
    assert.match(refusal(`${'n'.repeat(129)}:${digits(32)}`), /the name has more than 128 bytes/);
    assert.match(refusal(`${'n'.repeat(128)}:${digits(32)}`), /^accepted$/);
  });

  it('refuses a file that every user may open', () => {
    const file = path.join(temporaryFolder(), 'keys.psk');
    fs.writeFileSync(file, `alice:${digits(32)}\n`);
    fs.chmodSync(file, 0o604);
    assert.throws(() => PreSharedKeys.fromFile(file), /may be opened by every user.+chmod 600/);
    fs.chmodSync(file, 0o640);
    assert.equal(PreSharedKeys.fromFile(file).keyOf('alice')?.length, 32);
  });
});
