/** Certificate, key and authority out of files that people wrote: all of it or a sentence. Real files, made by openssl. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { TlsMaterial, TlsMaterialError, type TlsFiles } from '#daemon/security/tls-material.js';
import { TestAuthority } from '#test/support/certificates.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

function problemOf(files: TlsFiles): string {
  try {
    TlsMaterial.load(files, Date.now());
  } catch (error) {
    assert.ok(error instanceof TlsMaterialError, String(error));
    return error.message;
  }
  return assert.fail('the files were taken');
}

describe('TlsMaterial', () => {
  const folder = temporaryFolder();
  const authority = new TestAuthority(folder);
  const good = authority.issue({ name: 'node-a' });

  function copyOf(file: string, mode = 0o600): string {
    const copy = path.join(fs.mkdtempSync(path.join(folder, 'copy-')), path.basename(file));
    fs.copyFileSync(file, copy);
    fs.chmodSync(copy, mode);
    return copy;
  }

  it('reads the three files and says whose certificate it is', () => {
    const { facts } = TlsMaterial.load(good, Date.now()).current;
    assert.equal(facts.subject, 'CN=node-a');
    assert.equal(facts.issuer, 'CN=test authority');
    assert.deepEqual(facts.names, ['localhost', 'blkferry://host/test']);
    assert.ok(facts.validToMs > Date.now());
  });

  it('is the same in another thread, which is told values only, and follows when it is told others', () => {
    const material = TlsMaterial.load(good, Date.now());
    const there = TlsMaterial.heard(structuredClone(material.told));
    assert.deepEqual(there.current.facts, material.current.facts);
    assert.deepEqual(there.current.contextOptions, material.current.contextOptions);
    const subjects: string[] = [];
    there.onReplaced(({ facts }) => subjects.push(facts.subject));
    const other = TlsMaterial.load(authority.issue({ name: 'node-b' }), Date.now());
    there.hear(structuredClone(other.told));
    assert.deepEqual(subjects, ['CN=node-b']);
    assert.equal(there.current.facts.subject, 'CN=node-b');
  });

  it('names the setting and the file that is not there', () => {
    for (const [setting, key] of [
      ['tls.certificate', 'certificate'],
      ['tls.key', 'key'],
      ['tls.ca', 'ca'],
    ] as const) {
      const missing = path.join(folder, 'nothing.pem');
      const sentence = problemOf({ ...good, [key]: missing });
      assert.match(sentence, new RegExp(`^${setting}: ${missing} cannot be read: ENOENT`));
    }
  });

  it('refuses a key that belongs to another certificate', () => {
    const other = authority.issue();
    assert.equal(
      problemOf({ ...good, key: other.key }),
      `tls.key: ${other.key} is not the key of the certificate in ${good.certificate} (tls.certificate); the two are made together`,
    );
  });

  it('refuses a key that every user may open, and takes one that a group may read', () => {
    const open = copyOf(good.key, 0o644);
    assert.equal(
      problemOf({ ...good, key: open }),
      `tls.key: ${open} may be opened by every user of this machine (mode 644); chmod 600 ${open}`,
    );
    fs.chmodSync(open, 0o640);
    TlsMaterial.load({ ...good, key: open }, Date.now());
  });

  it('refuses a certificate that has expired, and one that is not valid yet', () => {
    const expired = authority.issue({ name: 'old', validFromDays: -3, validToDays: -2 });
    assert.match(
      problemOf(expired),
      /^tls\.certificate: .* \(CN=old\) has expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC; issue a new one$/,
    );
    const early = authority.issue({ name: 'new', validFromDays: 2 });
    assert.match(
      problemOf(early),
      /\(CN=new\) is valid from .* UTC only; is this machine's clock right\?$/,
    );
  });

  it('refuses files that hold something else', () => {
    const text = path.join(folder, 'text.pem');
    fs.writeFileSync(text, 'not a certificate\n', { mode: 0o600 });
    assert.match(problemOf({ ...good, certificate: text }), /has no certificate in PEM form/);
    assert.match(problemOf({ ...good, ca: text }), /^tls\.ca: .* has no certificate in PEM form/);
    assert.match(problemOf({ ...good, key: text }), /is not a private key in PEM form$/);
    const cut = path.join(folder, 'cut.pem');
    const pem = fs.readFileSync(good.certificate, 'utf8').split('\n');
    fs.writeFileSync(cut, [...pem.slice(0, 3), ...pem.slice(-2)].join('\n'));
    assert.match(problemOf({ ...good, certificate: cut }), /has a damaged certificate: /);
  });

  it('keeps what it has when the new files cannot be used, and takes them when they can', () => {
    const files = {
      ...good,
      certificate: copyOf(good.certificate),
      key: copyOf(good.key),
    };
    const material = TlsMaterial.load(files, Date.now());
    const replaced: string[] = [];
    material.onReplaced(({ facts }) => replaced.push(facts.subject));
    const before = material.current;
    const next = authority.issue({ name: 'node-b' });
    fs.copyFileSync(next.certificate, files.certificate);
    assert.throws(() => {
      material.reload(Date.now());
    }, TlsMaterialError);
    assert.equal(material.current, before);
    assert.deepEqual(replaced, []);
    fs.copyFileSync(next.key, files.key);
    material.reload(Date.now());
    assert.equal(material.current.facts.subject, 'CN=node-b');
    assert.deepEqual(replaced, ['CN=node-b']);
  });
});
