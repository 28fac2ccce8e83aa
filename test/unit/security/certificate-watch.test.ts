/** A certificate is replaced while the program runs, and warned of before it expires. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import { LOOK_INTERVAL_MS } from '#daemon/runtime/watched-files.js';
import { expiryWarning, watchCertificate } from '#daemon/security/certificate-watch.js';
import { TlsMaterial } from '#daemon/security/tls-material.js';
import { TestAuthority } from '#test/support/certificates.js';
import { FakeClock } from '#test/support/fake-clock.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const END_MS = Date.UTC(2027, 0, 31, 12, 0);

describe('expiryWarning', () => {
  it('comes two weeks before the end, and not earlier', () => {
    assert.equal(expiryWarning('CN=a', END_MS, END_MS - 14 * DAY_MS - 1), undefined);
    assert.equal(
      expiryWarning('CN=a', END_MS, END_MS - 14 * DAY_MS),
      'the certificate CN=a expires in 14 days, on 2027-01-31 12:00 UTC; replace its files, nothing need be restarted',
    );
    assert.match(expiryWarning('CN=a', END_MS, END_MS - 1) ?? '', /expires within a day, on/);
  });
  it('says when it is too late', () => {
    assert.equal(
      expiryWarning('CN=a', END_MS, END_MS),
      'the certificate CN=a has expired on 2027-01-31 12:00 UTC: no new connection comes about',
    );
  });
});

describe('watchCertificate', () => {
  const folder = temporaryFolder();
  const authority = new TestAuthority(folder);

  function watched(files = authority.issue({ name: 'one' })): {
    readonly material: TlsMaterial;
    readonly clock: FakeClock;
    readonly said: string[];
    readonly stop: () => void;
  } {
    const material = TlsMaterial.load(files, Date.now());
    const clock = new FakeClock();
    const said: string[] = [];
    const log = {
      info: (_fields: object, sentence: string) => said.push(sentence),
      warn: (_fields: object, sentence: string) => said.push(sentence),
    };
    const stop = watchCertificate(material, clock, () => Date.now() + clock.nowMs(), log);
    return { material, clock, said, stop };
  }

  it('takes new files and says so', async () => {
    const { material, clock, said } = watched();
    const next = authority.issue({ name: 'two' });
    fs.copyFileSync(next.certificate, material.files.certificate);
    fs.copyFileSync(next.key, material.files.key);
    await clock.advance(2 * LOOK_INTERVAL_MS);
    assert.equal(material.current.facts.subject, 'CN=two');
    assert.match(
      said[0] ?? '',
      /^new files for TLS: CN=two .* UTC; connections of before live on$/,
    );
  });

  it('tells files that cannot be used, once, and goes on with the old ones', async () => {
    const { material, clock, said } = watched();
    fs.writeFileSync(material.files.certificate, 'half a file');
    await clock.advance(20 * LOOK_INTERVAL_MS);
    assert.equal(material.current.facts.subject, 'CN=one');
    assert.deepEqual(said, [
      `new files for TLS are not used, those of before stay in use: tls.certificate: ${material.files.certificate} ` +
        'has no certificate in PEM form (-----BEGIN CERTIFICATE-----)',
    ]);
  });

  it('warns at once and each day when the end is near', async () => {
    const { clock, said, stop } = watched(authority.issue({ name: 'old', validToDays: 10 }));
    await clock.advance(DAY_MS);
    assert.equal(said.length, 2);
    assert.match(said[0] ?? '', /^the certificate CN=old expires in 9 days, on /);
    assert.match(said[1] ?? '', /^the certificate CN=old expires in 8 days, on /);
    stop();
    assert.equal(clock.timerCount, 0);
  });
});
