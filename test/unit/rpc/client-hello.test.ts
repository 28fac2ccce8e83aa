/** Which protocols a TLS client offers, from bytes that are put together by another way than they are read. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { offeredProtocols } from '#daemon/rpc/client-hello.js';
import {
  alpn,
  extension,
  hello,
  opensslHello,
  record,
  vector,
} from '#test/support/client-hello.js';

const NAMES = ['blkferry-session/1', 'blkferry-lane/1a2b', 'h2'];
const SERVER_NAME = extension(0, Buffer.from('any'));

describe('offeredProtocols', () => {
  it('reads what OpenSSL offers, as soon as all of it is there and not before', async () => {
    const bytes = await opensslHello(NAMES);
    for (let end = 0; end < bytes.length; end += 1)
      assert.equal(offeredProtocols(bytes.subarray(0, end)), undefined, `${end} bytes`);
    assert.deepEqual(offeredProtocols(bytes), NAMES);
    assert.deepEqual(offeredProtocols(Buffer.concat([bytes, Buffer.from('more')])), NAMES);
  });

  it('finds them among other extensions, wherever the message is cut into two records', () => {
    const message = hello(SERVER_NAME, alpn(...NAMES), extension(43, Buffer.from([2, 3, 4])));
    for (let at = 1; at < message.length; at += 1) {
      const bytes = Buffer.concat([record(message.subarray(0, at)), record(message.subarray(at))]);
      for (const end of [3, at + 4, at + 5, at + 9, bytes.length - 1])
        if (end < bytes.length)
          assert.equal(offeredProtocols(bytes.subarray(0, end)), undefined, `cut at ${at}, ${end}`);
      assert.deepEqual(offeredProtocols(bytes), NAMES, `cut at ${at}`);
    }
  });

  const message = hello(alpn(...NAMES));
  const quarters = [0, 1, 2, 3].map((part) =>
    record(message.subarray((part * message.length) / 4, ((part + 1) * message.length) / 4)),
  );
  const fifths = [0, 1, 2, 3, 4].map((part) => record(message.subarray(part * 4, part * 4 + 4)));
  const NONE: Readonly<Record<string, Buffer>> = {
    'a client that offers nothing': record(hello(SERVER_NAME)),
    'a client without extensions': record(hello()),
    'HTTP/2 in plain text': Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    'an alert': Buffer.from('15030100020228', 'hex'),
    'another message': record(Buffer.from([2]), vector(3, Buffer.alloc(40))),
    'an empty record': Buffer.concat([record(), record(message)]),
    'a record that is longer than any': Buffer.from('1603014001', 'hex'),
    'a message of more than 8 KiB': record(Buffer.from([1]), Buffer.from('002001', 'hex')),
    'more than four records': Buffer.concat(fifths),
    'something else between two records': Buffer.concat([
      record(message.subarray(0, 60)),
      Buffer.from('17030300050000000000', 'hex'),
    ]),
    'names that are longer than their list': record(
      hello(extension(16, vector(2, Buffer.from([9, 65])))),
    ),
    'an extension that is longer than all of them': record(
      hello(Buffer.from([0, 16, 0, 200, 0, 3, 2, 104, 50])),
    ),
    'a session id that is longer than the message': record(
      Buffer.from([1]),
      vector(3, Buffer.alloc(34), Buffer.from([200])),
    ),
  };
  for (const [what, bytes] of Object.entries(NONE)) {
    it(`finds none in ${what}`, () => {
      assert.deepEqual(offeredProtocols(bytes), []);
    });
  }

  it('takes a message of 8 KiB, and one in four records', () => {
    assert.deepEqual(offeredProtocols(Buffer.concat(quarters)), NAMES);
    const short = hello(alpn('h2'));
    const padding = Buffer.alloc(8192 - (short.length - 4) - 4);
    const full = hello(alpn('h2'), extension(21, padding));
    assert.equal(full.readUIntBE(1, 3), 8192);
    assert.deepEqual(offeredProtocols(record(full)), ['h2']);
    const longer = hello(alpn('h2'), extension(21, Buffer.alloc(padding.length + 1)));
    assert.deepEqual(offeredProtocols(record(longer)), []);
  });

  it('says something, or waits, whatever bytes come', () => {
    let state = 1;
    const random = (): number => (state = (state * 48_271) % 0x7fffffff);
    for (let round = 0; round < 20_000; round += 1) {
      const bytes = Buffer.from(record(hello(SERVER_NAME, alpn(...NAMES))));
      for (let change = random() % 4; change >= 0; change -= 1)
        bytes[random() % bytes.length] = random() % 256;
      const offered = offeredProtocols(bytes.subarray(0, random() % (bytes.length + 1)));
      assert.ok(offered === undefined || Array.isArray(offered));
    }
  });
});
