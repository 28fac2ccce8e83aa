/**
 * NBD over TLS with other people's clients: libnbd (nbdinfo, nbdcopy), qemu (qemu-img, qemu-io), and raw
 * sockets for what those would never send. Method: one daemon with certificates, pre-shared keys and rules; every client that is
 * refused is told nothing but its protocol's word, so the sentences are looked for in the daemon's log.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, describe, it } from 'node:test';
import type { TlsFiles } from '#daemon/security/tls-material.js';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import { TestAuthority, clientFolder } from '#test/support/certificates.js';
import { bytes, option } from '#test/support/nbd-bytes.js';
import { missingPrograms, runProgram, runSuccessfully } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { RawConnection, go } from './raw-connection.js';

const SIZE_BYTES = 16 * 1024 * 1024;

/** Longer than a log record takes from the daemon to us. */
const LOG_TIMEOUT_MS = 20_000;

const TLS_REQUIRED = 0x8000_0005;
const ACKNOWLEDGED = 1;

const RULES = `
[[rule]]
name = "the owner of both disks"
clients = ["owner.test"]
exports = ["vol*"]
right = "write"

[[rule]]
clients = ["reader.test"]
exports = ["vol1"]
right = "read"

[[rule]]
clients = ["dn:CN=no other name"]
exports = ["vol2"]
right = "write"

[[rule]]
clients = ["psk:alice"]
exports = ["vol1"]
right = "write"
`;

const folder = temporaryFolder();
const skip = missingPrograms('nbdinfo', 'nbdcopy', 'qemu-img', 'qemu-io', 'openssl');

describe('NBD over TLS', { skip }, () => {
  const authority = new TestAuthority(folder);
  const ofDaemon = authority.issue();
  const key = randomBytes(32).toString('hex');
  let stack: BlkferryStack;
  let port = '';

  before(async () => {
    const [access, keys] = [path.join(folder, 'exports.toml'), path.join(folder, 'keys.psk')];
    fs.writeFileSync(access, RULES);
    fs.writeFileSync(keys, `alice:${key}\n`, { mode: 0o600 });
    stack = await BlkferryStack.start(folder, {
      tls: ofDaemon,
      daemon: {
        BLKFERRY_NBD_TCP: '127.0.0.1:0',
        BLKFERRY_NBD_ACCESS_FILE: access,
        BLKFERRY_NBD_PSK_FILE: keys,
      },
    });
    await stack.newExport({ sizeBytes: SIZE_BYTES });
    await stack.newExport({ sizeBytes: SIZE_BYTES });
    const { uris } = await stack.admin.getAttachment('vol1');
    port = uris.map((uri) => /^nbds:\/\/127\.0\.0\.1:(\d+)\//.exec(uri)?.[1]).find(Boolean) ?? '';
    assert.notEqual(port, '', `an address with TLS among ${uris.join(' ')}`);
  });
  after(() => stack.stop());

  const holder = (name: string): TlsFiles =>
    authority.issue({ name, alternativeNames: `DNS:${name}` });
  const uriFor = (files: TlsFiles, exportName: string): string =>
    `nbds://127.0.0.1:${port}/${exportName}?tls-certificates=${clientFolder(folder, files)}`;

  /** What qemu's programs take to name a client and an export. */
  function qemuDisk(files: TlsFiles, exportName: string): string[] {
    const credentials = `tls-creds-x509,id=tls0,endpoint=client,dir=${clientFolder(folder, files)}`;
    const disk = `driver=nbd,host=127.0.0.1,port=${port},export=${exportName},tls-creds=tls0`;
    return ['--object', credentials, '--image-opts', disk];
  }

  /** A client that presents what it has, also where libraries would not; then asks for vol1. @returns the answer */
  async function secured(files: TlsFiles | undefined): Promise<Buffer> {
    const client = await RawConnection.greeted(Number(port));
    client.send(option(5));
    assert.equal((await client.receiveOptionReply(5)).type, ACKNOWLEDGED);
    client.socket.removeAllListeners('data');
    const own =
      files === undefined
        ? {}
        : { cert: fs.readFileSync(files.certificate), key: fs.readFileSync(files.key) };
    const socket = tls.connect({ socket: client.socket, rejectUnauthorized: false, ...own });
    const received: Buffer[] = [];
    socket.on('error', () => {});
    socket.on('secureConnect', () => socket.write(go('vol1')));
    socket.on('data', (piece: Buffer) => received.push(piece));
    socket.on('end', () => socket.destroy());
    await new Promise((resolve) => socket.once('close', resolve));
    return Buffer.concat(received);
  }

  async function logged(sentence: RegExp): Promise<void> {
    const untilMs = performance.now() + LOG_TIMEOUT_MS;
    while (!sentence.test(stack.daemon.stderr())) {
      assert(performance.now() < untilMs, `${String(sentence)} in\n${stack.daemon.stderr()}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  it('carries a disk in and out with nbdcopy, and what qemu-io wrote reads back with qemu-io', async () => {
    const owner = holder('owner.test');
    const [source, copy] = [path.join(folder, 'source'), path.join(folder, 'copy')];
    fs.writeFileSync(source, randomBytes(SIZE_BYTES));
    await runSuccessfully('nbdcopy', ['--flush', source, uriFor(owner, 'vol2')]);
    await runSuccessfully('nbdcopy', [uriFor(owner, 'vol2'), copy]);
    assert.ok(fs.readFileSync(copy).equals(fs.readFileSync(source)));
    const disk = qemuDisk(owner, 'vol1');
    const story = ['-c', 'write -P 0x5a 64k 8M', '-c', 'flush', '-c', 'read -P 0x5a 64k 8M'];
    const said = await runSuccessfully('qemu-io', [...disk, ...story]);
    assert.doesNotMatch(said, /failed|error/i);
    await logged(/\(owner\.test, dn:CN=owner\.test\) uses vol1/);
  });

  it('lists to each client what it may open, and nothing else', async () => {
    const list = async (name: string): Promise<string[]> => {
      const said = await runSuccessfully('nbdinfo', ['--list', '--json', uriFor(holder(name), '')]);
      const { exports } = JSON.parse(said) as { exports: { 'export-name': string }[] };
      return exports.map((one) => one['export-name']);
    };
    assert.deepEqual(await list('owner.test'), ['vol1', 'vol2']);
    assert.deepEqual(await list('reader.test'), ['vol1']);
    assert.deepEqual(await list('stranger.test'), []);
  });

  it('knows a certificate without alternative names by its subject', async () => {
    const files = authority.issue({ name: 'no other name', alternativeNames: 'email:a@b.test' });
    const said = await runSuccessfully('qemu-img', ['info', ...qemuDisk(files, 'vol2')]);
    assert.match(said, /virtual size: 16 MiB/);
  });

  it('gives a client with the right to read a read-only export', async () => {
    const files = holder('reader.test');
    const { exports } = JSON.parse(
      await runSuccessfully('nbdinfo', ['--json', uriFor(files, 'vol1')]),
    ) as { exports: { is_read_only: boolean }[] };
    assert.equal(exports[0]?.is_read_only, true);
    const written = await runProgram('qemu-io', [...qemuDisk(files, 'vol1'), '-c', 'write 0 4k']);
    assert.match(`${written.stdout}${written.stderr}`, /read-only|permission denied/i);
  });

  it('answers for the export of another client exactly as for one that is not there', async () => {
    const files = holder('reader.test');
    const [forbidden, missing] = await Promise.all(
      ['vol2', 'vol9'].map((name) => runProgram('nbdinfo', [uriFor(files, name)])),
    );
    assert.notEqual(forbidden!.status, 0);
    const words = (stderr: string): string => stderr.replaceAll(/client-\w+|vol\d/g, '…');
    assert.equal(words(forbidden!.stderr), words(missing!.stderr));
    await logged(
      /\(reader\.test, dn:CN=reader\.test\) was refused export vol2: no rule that names this client is for this export/,
    );
  });

  it('lets nobody in with a certificate that has expired, is its own, or of another authority', async () => {
    const refused = async (files: TlsFiles | undefined, sentence: RegExp): Promise<void> => {
      assert.equal((await secured(files)).length, 0);
      await logged(sentence);
    };
    const late = authority.issue({ name: 'late', validFromDays: -9, validToDays: -2 });
    assert.notEqual((await runProgram('nbdinfo', [uriFor(late, 'vol1')])).status, 0);
    await refused(
      late,
      /the certificate of the client \(CN=late\) has expired on [^;]+; issue a new one there/,
    );
    await refused(
      authority.selfSigned(),
      /the certificate of the client \(CN=myself\) is signed by nobody but itself; issue one by an authority of tls\.ca/,
    );
    await refused(
      new TestAuthority(folder, 'other authority').issue({ name: 'other' }),
      /the certificate of the client \(CN=other\) is of another authority \(CN=other authority\) than those in tls\.ca/,
    );
    await refused(
      authority.issue({ name: 'server', extendedKeyUsage: 'serverAuth' }),
      /the certificate of the client \(CN=server\) is not made for a client \(extended key usage\)/,
    );
    await refused(undefined, /the client presented no certificate, and everybody must present one/);
  });

  it('says so when a client does not believe the daemon', async () => {
    const files = { ...holder('owner.test'), ca: new TestAuthority(folder, 'elsewhere').file };
    const { status, stderr } = await runProgram('nbdinfo', [uriFor(files, 'vol1')]);
    assert.notEqual(status, 0);
    assert.match(stderr, /certificate/i);
  });

  it('tells a client in plain text that TLS is required, whatever it asks', async () => {
    const client = await RawConnection.greeted(Number(port));
    client.send(option(3), go('vol1'), option(8));
    for (const asked of [3, 7, 8])
      assert.equal((await client.receiveOptionReply(asked)).type, TLS_REQUIRED);
    // The one option that cannot be answered with an error.
    client.send(option(1, 'vol1'));
    assert.equal((await client.receiveUntilClosed()).length, 0);
  });

  it('refuses options that were sent behind STARTTLS in plain text, in the same packet or the next', async () => {
    const together = await RawConnection.greeted(Number(port));
    together.send(bytes(option(5), go('vol1')));
    await together.receiveUntilClosed();
    await logged(/plain text/);
    const apart = await RawConnection.greeted(Number(port));
    apart.send(option(5));
    assert.equal((await apart.receiveOptionReply(5)).type, ACKNOWLEDGED);
    apart.send(go('vol1'));
    const answer = await apart.receiveUntilClosed();
    // At most an alert of TLS, never an option reply.
    assert.ok(answer.length === 0 || answer[0] === 0x15, answer.toString('hex'));
    await logged(/the client speaks plain text where TLS is spoken/);
  });

  it('serves clients with a pre-shared key, and none with another key or name', async () => {
    const keysOf = (name: string, hex: string): string => {
      const file = path.join(fs.mkdtempSync(path.join(folder, 'psk-')), 'keys.psk');
      fs.writeFileSync(file, `${name}:${hex}\n`, { mode: 0o600 });
      return file;
    };
    const uri = (name: string, file: string): string =>
      `nbds://${name}@127.0.0.1:${port}/vol1?tls-psk-file=${file}`;
    const good = keysOf('alice', key);
    assert.match(await runSuccessfully('nbdinfo', ['--size', uri('alice', good)]), /^16777216$/m);
    const dir = path.dirname(good);
    const credentials = `tls-creds-psk,id=tls0,endpoint=client,username=alice,dir=${dir}`;
    const disk = `driver=nbd,host=127.0.0.1,port=${port},export=vol1,tls-creds=tls0`;
    const words = ['--object', credentials, '--image-opts', disk, '-c', 'write -P 7 0 64k'];
    await runSuccessfully('qemu-io', [...words, '-c', 'read -P 7 0 64k']);
    await logged(/\(psk:alice\) uses vol1/);
    const wrongKey = keysOf('alice', '00'.repeat(32));
    assert.notEqual((await runProgram('nbdinfo', [uri('alice', wrongKey)])).status, 0);
    await logged(/the client has another pre-shared key for \\"alice\\" than nbd\.psk_file/);
    assert.notEqual((await runProgram('nbdinfo', [uri('bob', keysOf('bob', key))])).status, 0);
    await logged(
      /the client offers a pre-shared key as \\"bob\\", which nbd\.psk_file does not have/,
    );
  });

  it('uses new rules and keys without a restart, and disconnects whom they do not allow any more', async () => {
    const [access, keys] = [path.join(folder, 'exports.toml'), path.join(folder, 'keys.psk')];
    const owner = uriFor(holder('owner.test'), 'vol2');
    const remaining = secured(holder('owner.test'));
    await logged(/\(owner\.test[^"]*\) uses vol1.*(\n.*)*uses vol1/);
    fs.writeFileSync(access, RULES.replace('"owner.test"', '"somebody.else"'));
    await logged(/new rules from .*exports\.toml are in force; clients that they end: 1/);
    await remaining;
    await logged(/export vol1: the rules give it nothing now, and it had write/);
    assert.notEqual((await runProgram('nbdinfo', ['--size', owner])).status, 0);
    fs.writeFileSync(access, 'not a rule');
    await logged(/new rules are not used, those of before stay in force: .*exports\.toml/);
    fs.writeFileSync(access, RULES);
    fs.writeFileSync(keys, `bob:${key}\n`);
    await logged(/new pre-shared keys from .*keys\.psk are in force/);
    const file = path.join(fs.mkdtempSync(path.join(folder, 'psk-')), 'keys.psk');
    fs.writeFileSync(file, `alice:${key}\n`, { mode: 0o600 });
    const alice = `nbds://alice@127.0.0.1:${port}/vol1?tls-psk-file=${file}`;
    assert.notEqual((await runProgram('nbdinfo', ['--size', alice])).status, 0);
    await logged(/in force; clients that they end: 1(.*\n)*.*in force; clients that they end: 0/);
    assert.match(await runSuccessfully('nbdinfo', ['--size', owner]), /^16777216$/m);
  });

  it('shows its new certificate to new clients when the files were replaced', async () => {
    const shown = async (): Promise<string> => {
      const client = await RawConnection.greeted(Number(port));
      client.send(option(5));
      await client.receiveOptionReply(5);
      client.socket.removeAllListeners('data');
      const { certificate, key: file } = holder('owner.test');
      const own = { cert: fs.readFileSync(certificate), key: fs.readFileSync(file) };
      const socket = tls.connect({ socket: client.socket, rejectUnauthorized: false, ...own });
      await once(socket, 'secureConnect');
      const name = String(socket.getPeerCertificate().subject.CN);
      socket.destroy();
      return name;
    };
    assert.equal(await shown(), 'localhost');
    const next = authority.issue({ name: 'renewed' });
    fs.copyFileSync(next.key, ofDaemon.key);
    fs.copyFileSync(next.certificate, ofDaemon.certificate);
    await logged(/new files for TLS: CN=renewed /);
    assert.equal(await shown(), 'renewed');
    assert.match(
      await runSuccessfully('nbdinfo', ['--size', uriFor(holder('owner.test'), 'vol2')]),
      /^16777216$/m,
    );
  });

  // Behind all of the above: every refusal and every success has been told by then.
  it('tells no key in logs, command lines, environments or answers', async () => {
    const secrets = [key, key.toUpperCase(), ...privateKeyLines(folder)];
    assert(secrets.length > 10);
    const told = [
      JSON.stringify(await stack.admin.listAttachments()),
      JSON.stringify(await stack.admin.getDaemon()),
    ];
    for (const { pid, stderr } of [stack.daemon, stack.node]) {
      told.push(stderr());
      for (const name of ['cmdline', 'environ'])
        told.push(fs.readFileSync(`/proc/${pid}/${name}`, 'latin1'));
    }
    for (const text of told) {
      assert(text.length > 10);
      for (const secret of secrets) assert(!text.includes(secret), `${secret} in ${text}`);
    }
  });
});

/** The lines between the ends of every private key in the folder. */
function privateKeyLines(root: string): string[] {
  const names = fs.readdirSync(root, { recursive: true }) as string[];
  return names
    .filter((name) => name.endsWith('.key'))
    .map((name) => fs.readFileSync(path.join(root, name), 'utf8'))
    .flatMap((text) => text.split('\n').filter((line) => line !== '' && !line.startsWith('--')));
}
