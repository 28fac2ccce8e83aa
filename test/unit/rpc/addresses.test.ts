/** What is an address, which addresses are on this machine, and where plain text may go. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientCredentials, serverMaterial } from '#daemon/rpc/credentials.js';
import {
  addressProblem,
  isLocalAddress,
  isLocalNode,
  nodeAddresses,
  nodeProblem,
} from '#daemon/rpc/node-address.js';
import { StorageError } from '#daemon/rpc/storage-error.js';

describe('addressProblem', () => {
  it('accepts host:port and unix:/path', () => {
    for (const address of [
      '127.0.0.1:7600',
      'node.example:1',
      '[::1]:0',
      '[fe80::1]:65535',
      'unix:/run/node.sock',
      `unix:/${'x'.repeat(106)}`,
    ]) {
      assert.equal(addressProblem(address), undefined, address);
    }
  });

  it('explains what is wrong with the neighbours of those', () => {
    for (const [address, sentence] of [
      ['127.0.0.1', /write host:port/],
      ['127.0.0.1:65536', /write host:port/],
      ['::1:7600', /write host:port/],
      [':7600', /write host:port/],
      ['host:port', /write host:port/],
      ['', /write host:port/],
      ['unix:run/node.sock', /absolute path/],
      [`unix:/${'x'.repeat(107)}`, /107 bytes at most/],
    ] as const) {
      assert.match(addressProblem(address) ?? '', sentence, address);
    }
  });
});

describe('a node', () => {
  it('has one address, or several with commas between', () => {
    assert.deepEqual(nodeAddresses('a:1'), ['a:1']);
    assert.deepEqual(nodeAddresses('a:1, unix:/b'), ['a:1', 'unix:/b']);
    for (const node of ['a:1', 'a:1,b:1', '10.0.1.5:7600, [fe80::1]:7600']) {
      assert.equal(nodeProblem(node), undefined, node);
    }
  });

  it('is refused with the one address that is none, one named twice, or too many', () => {
    for (const [node, sentence] of [
      ['a:1,b', /^b is not an address/],
      ['a:1,', /is not an address/],
      ['', /is not an address/],
      ['a:1,b:1, a:1', /names an address twice/],
      ['a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9', /^9 addresses are too many .* 8 at most/],
    ] as const) {
      assert.match(nodeProblem(node) ?? '', sentence, node);
    }
  });

  it('is on this machine if all of its addresses are', () => {
    assert.equal(isLocalNode('127.0.0.1:1,unix:/x'), true);
    assert.equal(isLocalNode('127.0.0.1:1,10.0.0.1:1'), false);
  });
});

describe('plain text', () => {
  const local = ['127.0.0.1:1', '127.3.2.1:1', 'localhost:1', '[::1]:1', 'unix:/x'];
  const remote = [
    '128.0.0.1:1',
    '10.0.0.1:1',
    'localhost.example:1',
    '[::2]:1',
    '0.0.0.0:1',
    '127.0.0.1.example:1',
  ];

  it('goes where only this machine can listen', () => {
    for (const address of local) {
      assert.ok(isLocalAddress(address), address);
      clientCredentials(address, { insecure: false }, 'node');
      serverMaterial(address, { insecure: false });
    }
  });

  it('goes nowhere else, unless that is allowed', () => {
    for (const address of remote) {
      assert.ok(!isLocalAddress(address), address);
      for (const make of [clientCredentials, serverMaterial]) {
        assert.throws(
          () => make(address, { insecure: false }, 'node'),
          (error: unknown) =>
            error instanceof StorageError &&
            error.kind === 'denied' &&
            error.message.includes(address) &&
            error.message.includes(
              'set tls.certificate, tls.key and tls.ca, or set insecure = true',
            ),
        );
        make(address, { insecure: true }, 'node');
      }
    }
  });
});
