/**
 * Each way in which TLS between a gRPC client and a server of ours does not come about, over real sockets: told, at
 * both ends, in words that name the certificate or the setting.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, describe, it } from 'node:test';
import { status, type ServiceError } from '@grpc/grpc-js';
import type { PeerIdentity } from '#daemon/rpc/peer-identity.js';
import type { TlsFiles } from '#daemon/security/tls-material.js';
import { explainCallError } from '#daemon/transport/call-error.js';
import { TestAuthority } from '#test/support/certificates.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { WhoServer, whoAmI } from '#test/support/who-server.js';

/** What a command or an attachment says about it. */
async function refusal(call: Promise<PeerIdentity>, address: string): Promise<string> {
  const outcome: unknown = await call.then(
    (identity) => identity,
    (error: unknown) => error,
  );
  assert.equal((outcome as ServiceError).code, status.UNAVAILABLE, JSON.stringify(outcome));
  return explainCallError(outcome, 'node', address, 'is blkferry-node running?').message;
}

/** Yesterday's clock, to get a certificate that has expired meanwhile past the check at the start. */
const DAY_MS = 24 * 60 * 60 * 1000;
describe('a TLS connection that does not come about', () => {
  const folder = temporaryFolder();
  const authority = new TestAuthority(folder);
  const other = new TestAuthority(folder, 'other authority');
  const good = authority.issue();
  const trusting = (files: TlsFiles): TlsFiles => ({ ...files, ca: good.ca });

  it('tells a name that the certificate is not for', async () => {
    const elsewhere = authority.issue({ name: 'node-b', alternativeNames: 'DNS:node-b' });
    const served = await WhoServer.at('127.0.0.1:0', elsewhere);
    assert.equal(
      await refusal(whoAmI(served.address, good), served.address),
      `the certificate of node ${served.address} (CN=node-b) is not for the address 127.0.0.1 but for DNS:node-b; ` +
        'use one of its names, or issue one with --host 127.0.0.1',
    );
  });

  it('tells a server whose certificate has expired since it started', async () => {
    const expired = authority.issue({ name: 'node-old', validFromDays: -3, validToDays: -1 });
    const served = await WhoServer.at('127.0.0.1:0', expired, Date.now() - 2 * DAY_MS);
    assert.match(
      await refusal(whoAmI(served.address, good), served.address),
      /^the certificate of node 127\.0\.0\.1:\d+ \(CN=node-old\) has expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC; issue a new one there$/,
    );
  });

  it('tells at both ends a client whose certificate has expired', async () => {
    const served = await WhoServer.at('127.0.0.1:0', good);
    const expired = authority.issue({ name: 'dom0-old', validFromDays: -3, validToDays: -1 });
    assert.match(
      await refusal(whoAmI(served.address, expired, Date.now() - 2 * DAY_MS), served.address),
      /^node 127\.0\.0\.1:\d+ refuses this program's certificate \(CN=dom0-old\): it has expired on .* UTC; issue a new one$/,
    );
    assert.match(
      served.refusals[0] ?? '',
      /^the certificate of client 127\.0\.0\.1:\d+ \(CN=dom0-old\) has expired on .* UTC; issue a new one there$/,
    );
  });

  it('tells a server of another authority, and one that is its own', async () => {
    const strange = await WhoServer.at('127.0.0.1:0', other.issue());
    assert.equal(
      await refusal(whoAmI(strange.address, good), strange.address),
      `the certificate of node ${strange.address} (CN=localhost) is of another authority (CN=other authority) than those in tls.ca`,
    );
    const alone = await WhoServer.at('127.0.0.1:0', authority.selfSigned());
    assert.equal(
      await refusal(whoAmI(alone.address, good), alone.address),
      `the certificate of node ${alone.address} (CN=myself) is signed by nobody but itself; issue one by an authority of tls.ca`,
    );
  });

  it('tells at both ends a client of another authority, and one that is its own', async () => {
    const served = await WhoServer.at('127.0.0.1:0', good);
    assert.equal(
      await refusal(whoAmI(served.address, trusting(other.issue())), served.address),
      `node ${served.address} refuses this program's certificate (CN=localhost), which is of CN=other authority; ` +
        'the log there says why (is its authority in tls.ca there?)',
    );
    assert.match(
      served.refusals[0] ?? '',
      /^the certificate of client 127\.0\.0\.1:\d+ \(CN=localhost\) is of another authority \(CN=other authority\) than those in tls\.ca$/,
    );
    await refusal(whoAmI(served.address, authority.selfSigned()), served.address);
    assert.match(
      served.refusals.at(-1) ?? '',
      /^the certificate of client \S+ \(CN=myself\) is signed by nobody but itself; issue one by an authority of tls\.ca$/,
    );
  });

  it('tells a certificate that was made for the other side', async () => {
    const client = authority.issue({ name: 'c', extendedKeyUsage: 'clientAuth' });
    const served = await WhoServer.at('127.0.0.1:0', client);
    assert.equal(
      await refusal(whoAmI(served.address, good), served.address),
      `the certificate of node ${served.address} (CN=c) is not made for a server (extended key usage); issue one that is`,
    );
  });

  it('tells a server that speaks plain text', async () => {
    const served = await WhoServer.at('127.0.0.1:0', undefined);
    assert.equal(
      await refusal(whoAmI(served.address, good), served.address),
      `node ${served.address} speaks plain text, and this program TLS; set tls.certificate, tls.key and tls.ca there too`,
    );
  });

  it('tells a client that speaks plain text', async () => {
    const served = await WhoServer.at('127.0.0.1:0', good);
    assert.equal(
      await refusal(whoAmI(served.address, undefined), served.address),
      `no node answers at ${served.address}: the connection was lost; is blkferry-node running? ` +
        'If it speaks TLS, this program needs tls.certificate, tls.key and tls.ca too',
    );
    assert.match(served.refusals[0] ?? '', /^client \S+ speaks plain text where TLS is spoken$/);
  });
  it('lives through a certificate of a stranger that says nothing about anybody', async () => {
    const served = await WhoServer.at('127.0.0.1:0', good);
    const nameless = authority.nameless();
    await refusal(whoAmI(served.address, nameless), served.address);
    assert.match(
      served.refusals[0] ?? '',
      /^the certificate of client \S+ \(no subject\) is signed by nobody but itself; issue one by an authority of tls\.ca$/,
    );
    assert.equal((await whoAmI(served.address, good)).kind, 'certificate');
  });

  it('waits no longer than its limit for a peer that says nothing', async () => {
    const silent = net.createServer(() => undefined).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    after(() => silent.close());
    const address = `127.0.0.1:${(silent.address() as net.AddressInfo).port}`;
    assert.equal(
      await refusal(whoAmI(address, good), address),
      `node ${address} did not finish the TLS handshake within 5000 ms; does it speak TLS?`,
    );
  });
});
