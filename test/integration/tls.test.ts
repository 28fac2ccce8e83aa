/**
 * Goal: with certificates, a daemon and a node talk TLS, whatever else holds still does, and nobody without a
 * certificate of the same authority gets anything. Method: both programs as processes, on loopback, which is no
 * exception; requests of more than a socket holds in both directions.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import { flushRequest, joined, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { RunningProgram, runSuccessfully } from '#test/support/program.js';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import { TestAuthority, tlsEnvironment } from '#test/support/certificates.js';
import { NbdClient } from '#test/support/nbd-client.js';
import { until } from '#test/support/served-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const TIMEOUT_MS = 60_000;

const PROGRAM_FOLDER = fileURLToPath(new URL('../../../daemon/dist/program/', import.meta.url));

function blkferry(
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  return runSuccessfully(path.join(PROGRAM_FOLDER, 'blkferry.js'), words, { environment });
}

describe('daemon and node with certificates', { timeout: TIMEOUT_MS }, () => {
  it('move requests of 4 MiB in both directions at once, and keep what was flushed', async (t) => {
    const folder = temporaryFolder();
    const tls = new TestAuthority(folder).issue();
    const stack = await BlkferryStack.start(folder, { tls });
    t.after(() => stack.stop());
    const { name, socketPath } = await stack.newExport({ sizeBytes: 128 * MIB });
    const client = await NbdClient.connect({ socketPath, exportName: name });
    const data = Buffer.alloc(4 * MIB, 0x5a);
    const lanes = Array.from({ length: 16 }, async (_lane, index) => {
      for (let round = 0; round < 2; round += 1) {
        await submitAsync(client, writeRequest(index * data.length, data));
        await submitAsync(client, readRequest(index * data.length, data.length));
      }
    });
    await Promise.all(lanes);
    await submitAsync(client, flushRequest());
    const { payload } = await submitAsync(client, readRequest(15 * data.length, data.length));
    assert.ok(joined(payload).equals(data));
    await client.close();
    assert.doesNotMatch(stack.node.stderr(), /small_window_seen/);
    assert.match(stack.node.stderr(), /known to others as CN=localhost/);
  });

  it('tell of an attachment why its node is not believed any more', async (t) => {
    const folder = temporaryFolder();
    const authority = new TestAuthority(folder);
    const stack = await BlkferryStack.start(folder, { tls: authority.issue() });
    t.after(() => stack.stop());
    const { name } = await stack.newExport({ sizeBytes: MIB });
    await stack.node.stop();
    const another = authority.issue({ name: 'node-b', alternativeNames: 'DNS:node-b' });
    const { program } = await RunningProgram.start(
      path.join(PROGRAM_FOLDER, 'blkferry-node.js'),
      ['--data-directory', path.join(folder, 'data'), '--listen', stack.nodeAddress],
      {
        readyLine: /ready: /,
        environment: {
          ...tlsEnvironment(another),
          BLKFERRY_ACCESS_FILE: path.join(folder, 'access.toml'),
        },
      },
    );
    t.after(() => program.stop());
    const reason =
      `the certificate of node ${stack.nodeAddress} (CN=node-b) is not for the address 127.0.0.1 ` +
      'but for DNS:node-b; use one of its names, or issue one with --host 127.0.0.1';
    let detail = '';
    while (!detail.includes(reason)) {
      ({ detail } = await stack.admin.getAttachment(name));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  it('say nothing that could be read on the way', async (t) => {
    const folder = temporaryFolder();
    const tls = new TestAuthority(folder).issue();
    const stack = await BlkferryStack.start(folder, { tls });
    t.after(() => stack.stop());
    const [host = '', port = ''] = stack.nodeAddress.split(':');
    const seen = await new Promise<Buffer>((resolve, reject) => {
      const socket = net.connect(Number(port), host);
      const pieces: Buffer[] = [];
      socket.on('data', (piece) => pieces.push(piece));
      socket.on('error', reject);
      socket.on('close', () => {
        resolve(Buffer.concat(pieces));
      });
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    });
    // Not the frame with which a server of HTTP/2 begins; a TLS alert may come.
    assert.ok(seen.length === 0 || seen[0] === 0x15, seen.toString('hex'));
    await until(() =>
      /client 127\.0\.0\.1:\d+ speaks plain text where TLS is spoken/.test(stack.node.stderr()),
    );
  });
});

describe('the way from nothing to a node on another machine', { timeout: TIMEOUT_MS }, () => {
  it('is as the README says it, without insecure', async (t) => {
    const folder = temporaryFolder();
    const ca = path.join(folder, 'ca');
    await blkferry(['pki', 'init', ca]);
    const issue = async (
      name: string,
      words: readonly string[],
    ): Promise<Record<string, string>> => {
      const out = path.join(folder, name);
      await blkferry(['pki', 'issue', '--ca', ca, '--name', name, ...words, out]);
      return {
        BLKFERRY_TLS_CERTIFICATE: path.join(out, 'cert.pem'),
        BLKFERRY_TLS_KEY: path.join(out, 'key.pem'),
        BLKFERRY_TLS_CA: path.join(out, 'ca.pem'),
      };
    };
    const ofNode = await issue('node-a', ['--host', '127.0.0.1', '--role', 'node']);
    const ofPerson = await issue('alice', ['--role', 'client']);
    const rules = path.join(folder, 'access.toml');
    fs.writeFileSync(
      rules,
      '[[rule]]\nclients = ["alice"]\nvolumes = ["*"]\nrights = ["administer"]\n',
    );
    const { program, readyLine } = await RunningProgram.start(
      path.join(PROGRAM_FOLDER, 'blkferry-node.js'),
      ['--data-directory', path.join(folder, 'data'), '--listen', '0.0.0.0:0'],
      {
        readyLine: /^blkferry-node ready: /,
        environment: { ...ofNode, BLKFERRY_ACCESS_FILE: rules },
      },
    );
    t.after(() => program.stop());
    const port = /ready: \S+:(\d+)/.exec(readyLine)?.[1] ?? '';
    const node = ['--node', `127.0.0.1:${port}`];
    await blkferry(['volume', 'create', 'v1', '1M', ...node], ofPerson);
    assert.match(await blkferry(['volume', 'list', ...node], ofPerson), /^v1 /m);
    await until(() => program.stderr().includes('"client":"alice"'));
  });
});
