/**
 * Goal: a node with certificates gives each client what the rules give it and nothing else, says why, and follows
 * the rules and the certificates when they change. Method: a node as a process, clients with real certificates.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { RECORDS_PER_CLIENT_MAX } from '#daemon/runtime/log-allowance.js';
import { TlsMaterial, type TlsFiles } from '#daemon/security/tls-material.js';
import { TLS_HANDSHAKE_TIMEOUT_MS } from '#daemon/rpc/tls-acceptor.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import type { StorageClient } from '#daemon/transport/storage-client.js';
import { knock } from '#test/support/openssl-client.js';
import { TestAuthority, tlsEnvironment } from '#test/support/certificates.js';
import { RunningProgram } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const TIMEOUT_MS = 60_000;
const NODE = fileURLToPath(
  new URL('../../../daemon/dist/program/blkferry-node.js', import.meta.url),
);

const RULES = `
[[rule]]
name = "hosts"
clients = ["dom0-*"]
volumes = ["vm-*"]
rights = ["write"]

[[rule]]
name = "backup"
clients = ["backup"]
volumes = ["vm-*"]
rights = ["read"]

[[rule]]
name = "people"
clients = ["alice"]
volumes = ["*"]
rights = ["administer"]
`;

describe('a node with certificates and rules', { timeout: TIMEOUT_MS }, () => {
  const folder = temporaryFolder();
  const rulesFile = path.join(folder, 'access.toml');
  const auditFile = path.join(folder, 'audit.log');
  let authority: TestAuthority;
  let ofNode: TlsFiles;
  let program: RunningProgram;
  let address = '';
  const clients: StorageClient[] = [];
  /** For how long somebody was served who fell silent at the beginning. */
  let silentMs: Promise<number>;

  function clientNamed(name: string): StorageClient {
    const files = authority.issue({ name, alternativeNames: `DNS:${name}` });
    const client = createGrpcStorageClient({
      address,
      callTimeoutMs: 20_000,
      sessionTimes: { openTimeoutMs: 5000, probeIntervalMs: 1000, probeTimeoutMs: 5000 },
      insecure: false,
      tls: TlsMaterial.load(files, Date.now()),
      clock: SYSTEM_CLOCK,
    });
    clients.push(client);
    return client;
  }

  before(async () => {
    authority = new TestAuthority(folder);
    ofNode = authority.issue({ name: 'node' });
    fs.writeFileSync(rulesFile, RULES);
    const { program: started, readyLine } = await RunningProgram.start(
      NODE,
      ['--data-directory', path.join(folder, 'data'), '--listen', '127.0.0.1:0'],
      {
        readyLine: /ready: /,
        environment: {
          ...tlsEnvironment(ofNode),
          BLKFERRY_ACCESS_FILE: rulesFile,
          BLKFERRY_AUDIT_FILE: auditFile,
        },
      },
    );
    program = started;
    address = /ready: (\S+)/.exec(readyLine)?.[1] ?? '';
    silentMs = beginTls(address);
    const alice = clientNamed('alice');
    for (const name of ['vm-1', 'secret']) {
      await alice.createVolume({ name, sizeBytes: 1024 * 1024, blockBytes: 0, backend: '' });
    }
  });

  after(async () => {
    for (const client of clients) client.close();
    await program.stop();
  });

  /** Until the program has logged what fits. */
  async function logged(pattern: RegExp): Promise<void> {
    while (!pattern.test(program.stderr())) await moment();
  }

  function auditLines(): string[] {
    return fs.readFileSync(auditFile, 'utf8').split('\n').slice(0, -1);
  }

  function audited(): Record<string, unknown>[] {
    return auditLines().map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  it('tells a client that no rule names that it may do nothing', async () => {
    assert.deepEqual(await denial(clientNamed('eve').getNode()), [
      'denied',
      'eve may do nothing on this node; its access_file says who may',
    ]);
  });

  it('counts whom it turned away, by rules and by certificates', async () => {
    const bob = clientNamed('bob');
    for (let time = 0; time < 2; time += 1) await denial(bob.getNode());
    const [host = '', port] = address.split(':');
    const stranger = net.connect(Number(port), host);
    stranger.on('error', () => undefined);
    stranger.end('no TLS at all\n');
    stranger.resume();
    await new Promise((resolve) => stranger.once('close', resolve));
    await logged(/"event":"tls_refused"/);
    const { refusals } = await clientNamed('alice').getNode();
    assert.deepEqual(
      refusals.map(({ event }) => event),
      ['access_refused', 'tls_refused'],
    );
    assert((refusals[0]?.count ?? 0) >= 2, 'bob alone was refused twice');
    assert.equal(refusals[1]?.count, 1);
  });

  it('tells of a volume of others the same as of one that is not there', async () => {
    const host = clientNamed('dom0-a');
    assert.deepEqual(await denial(host.getVolume('secret')), [
      'denied',
      'dom0-a may not see volume secret on this node; its access_file says who may',
    ]);
    assert.deepEqual(await denial(host.getVolume('nothing')), [
      'denied',
      'dom0-a may not see volume nothing on this node; its access_file says who may',
    ]);
    const names = (await host.listVolumes()).map(({ name }) => name);
    assert.deepEqual(names, ['vm-1']);
  });

  it('refuses a lease to a client that may only read', async () => {
    const backup = clientNamed('backup');
    const { volumeId } = await backup.getVolume('vm-1');
    assert.deepEqual(await denial(backup.acquireLease(leaseRequest(volumeId))), [
      'denied',
      `backup may not write a volume with the id ${volumeId} on this node; its access_file says who may`,
    ]);
    await logged(/backup was refused to write a volume with the id/);
  });

  it('refuses administration to a client that may write', async () => {
    const refused = await denial(
      clientNamed('dom0-b').deleteVolume({ name: 'vm-1', volumeId: '' }),
    );
    assert.deepEqual(refused, [
      'denied',
      'dom0-b may not administer volume vm-1 on this node; its access_file says who may',
    ]);
  });

  it('logs and audits only so much of a client that asks for ever new volumes', async () => {
    const mallory = clientNamed('mallory');
    const ask = async (name: string): Promise<void> => {
      await denial(mallory.getVolume(name));
      const made = { name, sizeBytes: 1024 * 1024, blockBytes: 0, backend: '' };
      await denial(mallory.createVolume(made));
    };
    const loggedChars = program.stderr().length;
    for (let index = 0; index < 10 * RECORDS_PER_CLIENT_MAX; index += 1) await ask(`vol-${index}`);
    // Names as long as a message may be, too.
    await ask('n'.repeat(8 * 1024 * 1024));
    // What is logged of another client comes behind it.
    await denial(clientNamed('nobody').getNode());
    await logged(/"client":"nobody"/);
    const records = program.stderr().slice(loggedChars).split('\n');
    const ofMallory = (event: string): string[] =>
      records.filter((line) => line.includes(`"event":"${event}"`) && line.includes('"mallory"'));
    assert.equal(ofMallory('access_refused').length, RECORDS_PER_CLIENT_MAX);
    assert.equal(ofMallory('act_denied').length, 0, 'they are in a file of their own');
    assert.equal(
      audited().filter(({ client }) => client === 'mallory').length,
      RECORDS_PER_CLIENT_MAX,
    );
    assert.ok([...records, ...auditLines()].every((line) => line.length < 16 * 1024));
  });

  it('has in its audit file who made what, for its owner alone', async () => {
    await clientNamed('alice').createVolume({
      name: 'vm-2',
      sizeBytes: 1024 * 1024,
      blockBytes: 0,
      backend: '',
    });
    while (!auditLines().some((line) => line.includes('"volume vm-2"'))) await moment();
    const { act, client, object, result, audit } = audited().at(-1) ?? {};
    assert.deepEqual(
      [act, client, object, result, audit],
      ['CreateVolume', 'alice', 'volume vm-2', 'done', true],
    );
    assert.equal(fs.statSync(auditFile).mode & 0o777, 0o600);
  });

  it('says of each certificate that openssl shows it why it is not believed', async () => {
    const client = String.raw`client 127\.0\.0\.1:\d+`;
    const cases: readonly [TlsFiles | undefined, string][] = [
      [undefined, `${client} presented no certificate, and everybody must present one`],
      [
        authority.issue({ name: 'late', validFromDays: -9, validToDays: -2 }),
        String.raw`the certificate of ${client} \(CN=late\) has expired on [-\d]+ [:\d]+ UTC; issue a new one there`,
      ],
      [
        authority.selfSigned(),
        String.raw`the certificate of ${client} \(CN=myself\) is signed by nobody but itself; issue one by an authority of tls\.ca`,
      ],
      [
        new TestAuthority(folder, 'other authority').issue({ name: 'other' }),
        String.raw`the certificate of ${client} \(CN=other\) is of another authority \(CN=other authority\) than those in tls\.ca`,
      ],
      [
        authority.issue({ name: 'server', extendedKeyUsage: 'serverAuth' }),
        String.raw`the certificate of ${client} \(CN=server\) is not made for a client \(extended key usage\); issue one that is`,
      ],
    ];
    for (const [files, sentence] of cases) {
      await knock(address, files);
      await logged(new RegExp(`"event":"tls_refused".*"msg":"${sentence}"`));
    }
    await knock(address, authority.issue(), ['-tls1_2']);
    await logged(
      new RegExp(
        String.raw`"msg":"${client} wants a version of TLS that is not spoken here \(tls\.min_version\)`,
      ),
    );
  });

  it('ends the session of a client whose right is taken away, and keeps its rules when new ones are wrong', async () => {
    const host = clientNamed('dom0-c');
    const { volumeId } = await host.getVolume('vm-1');
    const { generation } = await host.acquireLease(leaseRequest(volumeId));
    const ended = new Promise<StorageError>((resolve, reject) => {
      host.openSession(
        {
          volumeId,
          attachmentId: ATTACHMENT,
          generation,
          streamIndex: 0,
          checksum: 'none',
          takesHoles: true,
        },
        {
          opened: () => {
            fs.writeFileSync(rulesFile, '[[rule]]\nclients = []\n');
            logged(/new rules are not used, those of before stay in force: .*access\.toml: /).then(
              () => {
                fs.writeFileSync(rulesFile, RULES.replace('dom0-*', 'dom0-z'));
              },
              reject,
            );
          },
          completed: () => undefined,
          verifierSeen: () => undefined,
          resized: () => undefined,
          ended: resolve,
        },
      );
    });
    const { kind, message } = await ended;
    assert.deepEqual(
      [kind, message],
      [
        'denied',
        `dom0-c may not write a volume with the id ${volumeId} on this node; its access_file says who may`,
      ],
    );
    await logged(/new rules from .* are in force; sessions that they end: 1/);
  });

  it('shows its new certificate when the files were replaced, and the old one until they can be used', async () => {
    assert.equal(await subjectShown(), 'node');
    const next = authority.issue({ name: 'node-renewed' });
    fs.copyFileSync(next.certificate, ofNode.certificate);
    await logged(
      /new files for TLS are not used, those of before stay in use: tls\.key: .* is not the key/,
    );
    assert.equal(await subjectShown(), 'node');
    fs.copyFileSync(next.key, ofNode.key);
    await logged(/new files for TLS: CN=node-renewed /);
    assert.equal(await subjectShown(), 'node-renewed');
  });

  // It began with the suite, and is over by now.
  it('lets go of who begins TLS and says no more, when the time for that is over', async () => {
    assert.ok((await silentMs) > TLS_HANDSHAKE_TIMEOUT_MS - 1000);
    await logged(/"msg":"client 127\.0\.0\.1:\d+ did not finish its TLS handshake in time"/);
  });

  function subjectShown(): Promise<string> {
    const { contextOptions } = TlsMaterial.load(
      authority.issue({ name: 'alice', alternativeNames: 'DNS:alice' }),
      Date.now(),
    ).current;
    const [host = '', port = ''] = address.split(':');
    const options = { ...contextOptions, host, port: Number(port), ALPNProtocols: ['h2'] };
    return new Promise((resolve, reject) => {
      const socket = tls.connect(options, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.once('error', reject);
    });
  }
});

/** Begins TLS and says no more. @returns after how long the connection was closed */
async function beginTls(address: string): Promise<number> {
  const [host = '', port] = address.split(':');
  const begunMs = performance.now();
  const socket = net.connect(Number(port), host);
  socket.on('error', () => undefined);
  // The head of a record of 512 bytes, of which nothing comes.
  socket.write(Buffer.from('1603010200', 'hex'));
  socket.resume();
  await new Promise((resolve) => socket.once('close', resolve));
  return performance.now() - begunMs;
}

function moment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}

const ATTACHMENT = '7'.repeat(32);

function leaseRequest(volumeId: string): Parameters<StorageClient['acquireLease']>[0] {
  return {
    volumeId,
    attachmentId: ATTACHMENT,
    description: 'test',
    takeOver: false,
    expectedGeneration: 0,
  };
}

async function denial(call: Promise<unknown>): Promise<[string, string]> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StorageError, String(error));
  return [error.kind, error.message];
}
