/** Goal: certificates of `blkferry pki` are what TLS here wants, are kept from others, and replace nothing. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { TlsMaterial } from '#daemon/security/tls-material.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FakeSurroundings, type Outcome } from './fake-surroundings.js';

const DAY_MS = 24 * 60 * 60 * 1000;

function run(words: string): Promise<Outcome> {
  return new FakeSurroundings().run(words);
}

function modeOf(file: string): string {
  return (fs.statSync(file).mode & 0o777).toString(8);
}

function certificateAt(file: string): X509Certificate {
  return new X509Certificate(fs.readFileSync(file));
}

describe('blkferry pki', () => {
  const folder = temporaryFolder();
  const ca = path.join(folder, 'ca');
  const at = (name: string): string => path.join(folder, name);
  const made = run(`pki init ${ca}`);

  it('makes an authority whose key is for its owner alone', async () => {
    assert.equal((await made).exitCode, 0, (await made).stderr);
    assert.equal(modeOf(ca), '700');
    assert.equal(modeOf(path.join(ca, 'ca.key')), '600');
    assert.deepEqual(fs.readdirSync(ca).sort(), ['ca.key', 'ca.pem']);
    const certificate = certificateAt(path.join(ca, 'ca.pem'));
    assert.equal(certificate.ca, true);
    assert.equal(certificate.subject, 'CN=blkferry');
  });

  it('issues what the settings of a node can name', async () => {
    await made;
    const { exitCode, stdout, stderr } = await run(
      `pki issue --ca ${ca} --name node-a --host 10.0.0.1 --host [fd00::1] --host node-a.lan --role node ${at('node-a')}`,
    );
    assert.equal(exitCode, 0, stderr);
    assert.equal(
      stdout,
      `tls.certificate = "${at('node-a')}/cert.pem"\ntls.key = "${at('node-a')}/key.pem"\ntls.ca = "${at('node-a')}/ca.pem"\n`,
    );
    assert.equal(modeOf(at('node-a')), '700');
    assert.equal(modeOf(`${at('node-a')}/key.pem`), '600');
    assert.deepEqual(fs.readdirSync(at('node-a')).sort(), ['ca.pem', 'cert.pem', 'key.pem']);
    const { facts } = TlsMaterial.load(
      {
        certificate: `${at('node-a')}/cert.pem`,
        key: `${at('node-a')}/key.pem`,
        ca: `${at('node-a')}/ca.pem`,
        minVersion: '1.3',
      },
      Date.now(),
    ).current;
    assert.equal(
      facts.alternativeNames,
      'DNS:node-a, IP Address:10.0.0.1, IP Address:FD00:0:0:0:0:0:0:1, DNS:node-a.lan',
    );
    const days = (facts.validToMs - Date.now()) / DAY_MS;
    assert.ok(days > 364 && days <= 365, String(days));
    const certificate = certificateAt(`${at('node-a')}/cert.pem`);
    assert.equal(certificate.ca, false);
    assert.ok(certificate.verify(certificateAt(path.join(ca, 'ca.pem')).publicKey));
  });

  it('gives each role the purposes it needs', async () => {
    await made;
    const [serverAuth, clientAuth] = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'];
    for (const [role, purposes] of [
      ['node', [serverAuth]],
      ['daemon', [serverAuth, clientAuth]],
      ['client', [clientAuth]],
    ] as const) {
      const out = at(`role-${role}`);
      await run(`pki issue --ca ${ca} --name x --role ${role} --days 3 ${out}`);
      assert.deepEqual(certificateAt(`${out}/cert.pem`).keyUsage, purposes);
    }
  });

  it('replaces nothing', async () => {
    await made;
    const before = fs.readFileSync(path.join(ca, 'ca.key'), 'utf8');
    const { exitCode, stderr } = await run(`pki init ${ca}`);
    assert.equal(exitCode, 4);
    assert.equal(
      stderr,
      `blkferry: ${ca} is there already and nothing was changed; name another folder, or move that one away\n`,
    );
    assert.equal(fs.readFileSync(path.join(ca, 'ca.key'), 'utf8'), before);
    fs.mkdirSync(at('empty'));
    assert.equal((await run(`pki issue --ca ${ca} --name x ${at('empty')}`)).exitCode, 4);
    assert.deepEqual(fs.readdirSync(at('empty')), []);
  });

  it('refuses a name that is none, before it makes anything', async () => {
    await made;
    for (const words of [
      '--name a/b',
      '--name a,DNS:root',
      '--name x --host -',
      '--name x --host a_b',
    ]) {
      const { exitCode, stderr } = await run(`pki issue --ca ${ca} ${words} ${at('bad')}`);
      assert.equal(exitCode, 2);
      assert.match(stderr, /^blkferry: --(name|host): ".*" is no name; 1 to 63 letters/);
    }
    assert.equal(fs.existsSync(at('bad')), false);
  });

  it('says where an authority would have to be', async () => {
    const { exitCode, stderr } = await run(`pki issue --ca ${at('no')} --name x ${at('x')}`);
    assert.equal(exitCode, 3);
    assert.equal(
      stderr,
      `blkferry: ${at('no')} has no authority that can be used (${at('no')}/ca.pem); blkferry pki init ${at('no')} makes one\n`,
    );
  });

  it('leaves nothing behind when openssl fails', async () => {
    await made;
    const broken = at('broken');
    fs.cpSync(ca, broken, { recursive: true });
    fs.writeFileSync(path.join(broken, 'ca.key'), 'no key\n');
    const { exitCode, stderr } = await run(`pki issue --ca ${broken} --name x ${at('never')}`);
    assert.equal(exitCode, 1);
    assert.match(stderr, /^blkferry: openssl failed: /);
    assert.deepEqual(
      fs.readdirSync(folder).filter((name) => name.startsWith('never')),
      [],
    );
  });
});

describe('options for TLS', () => {
  it('are three or none, and go to the node', async () => {
    const world = new FakeSurroundings();
    const { exitCode, stderr } = await world.run('volume list --tls-key /k --node 10.0.0.1:7600');
    assert.equal(exitCode, 2);
    assert.match(stderr, /belong together: all three or none/);
    await world.run(
      'volume list --tls-certificate /c --tls-key /k --tls-ca /a --node 10.0.0.1:7600',
    );
    assert.deepEqual(world.nodeOptions.at(-1)?.tls, {
      certificate: '/c',
      key: '/k',
      ca: '/a',
      minVersion: '1.3',
    });
  });
});
