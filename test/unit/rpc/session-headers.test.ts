/** The headers of a session's stream, as gRPC writes them, and what a client makes of a server's. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import type { HeaderField } from '#daemon/http2/header-field.js';
import {
  ANSWER_HEADERS,
  endHeaders,
  endOf,
  headersRefusal,
  requestHeaders,
} from '#daemon/rpc/session-headers.js';
import { STORAGE_SERVICE } from '#daemon/rpc/service-definition.js';

const CALL = new Map(requestHeaders('node-1:7600', true));

function call(changes: Readonly<Record<string, string | undefined>>): HeaderField[] {
  const fields = new Map<string, string | undefined>([...CALL, ...Object.entries(changes)]);
  return [...fields].filter((field): field is [string, string] => field[1] !== undefined);
}

describe('requestHeaders', () => {
  it('are those of gRPC for OpenSession, and what comes with ":" comes first', () => {
    const fields = requestHeaders('node-1:7600', true);
    assert.deepEqual(fields.slice(0, 6), [
      [':method', 'POST'],
      [':scheme', 'https'],
      [':path', '/blkferry.storage.v1.Storage/OpenSession'],
      [':authority', 'node-1:7600'],
      ['te', 'trailers'],
      ['content-type', 'application/grpc'],
    ]);
    assert.match(fields[6]?.[1] ?? '', /^blkferry\/\d/);
    assert.equal(STORAGE_SERVICE['OpenSession']?.path, new Map(fields).get(':path'));
    assert.equal(new Map(requestHeaders('localhost', false)).get(':scheme'), 'http');
  });
});

describe('headersRefusal', () => {
  it('takes OpenSession of any gRPC library', () => {
    assert.equal(headersRefusal(call({})), undefined);
    assert.equal(headersRefusal(call({ 'content-type': 'application/grpc+proto' })), undefined);
    assert.equal(headersRefusal(call({ 'grpc-encoding': 'identity' })), undefined);
    assert.equal(headersRefusal(call({ te: undefined, 'grpc-timeout': '5S' })), undefined);
  });

  it('refuses another call, and says which', () => {
    const others: Readonly<Record<string, string | undefined>>[] = [
      { ':path': '/blkferry.storage.v1.Storage/GetNode' },
      { ':path': undefined },
      { ':method': 'GET' },
    ];
    for (const other of others) {
      const refusal = headersRefusal(call(other));
      assert.equal(refusal?.code, status.UNIMPLEMENTED);
      assert.match(refusal.details, /^this connection is for \/\S+\/OpenSession only, not for/);
    }
  });

  it('refuses what is not gRPC, and messages that are compressed', () => {
    for (const type of [undefined, 'text/html', 'application/json'])
      assert.deepEqual(headersRefusal(call({ 'content-type': type })), {
        code: status.INTERNAL,
        details: 'the content is not gRPC',
      });
    assert.deepEqual(headersRefusal(call({ 'grpc-encoding': 'gzip' })), {
      code: status.UNIMPLEMENTED,
      details: 'messages in gzip are not taken',
    });
  });
});

describe('endHeaders', () => {
  it('say the code, and the sentence if there is one', () => {
    assert.deepEqual(endHeaders({ code: 0, details: '' }), [['grpc-status', '0']]);
    assert.deepEqual(endHeaders({ code: 5, details: 'no volume' }), [
      ['grpc-status', '5'],
      ['grpc-message', 'no volume'],
    ]);
  });

  it('write printable ASCII but "%" as it is, and all else as the bytes of UTF-8', () => {
    const encoded = (details: string): string | undefined =>
      endHeaders({ code: 2, details })[1]?.[1];
    const printable = Array.from({ length: 0x7f - 0x20 }, (_, index) =>
      String.fromCharCode(0x20 + index),
    ).join('');
    assert.equal(encoded(printable), printable.replace('%', '%25'));
    assert.equal(encoded('a\nb\u007f'), 'a%0Ab%7F');
    assert.equal(encoded('50 % für €'), '50 %25 f%C3%BCr %E2%82%AC');
    assert.equal(encoded('💾'), '%F0%9F%92%BE');
    assert.equal(encoded('\ud83d'), '%EF%BF%BD');
  });

  it('stay below 16 KiB with any sentence, and its beginning is read', () => {
    for (const one of ['x', '%', 'ü', '€', '💾']) {
      const details = one.repeat(20_000);
      const fields = endHeaders({ code: 2, details });
      const bytes = fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
      assert.ok(bytes <= 16_384 - 200, `${bytes} bytes for ${one}`);
      const read = endOf(fields, true)?.details ?? '';
      assert.ok(details.startsWith(read), read.slice(-20));
      assert.ok(read.length >= 300, `${read.length} characters for ${one}`);
    }
    const fits = 'x'.repeat(3000);
    assert.equal(endHeaders({ code: 2, details: fits })[1]?.[1], fits);
    assert.equal(endHeaders({ code: 2, details: `${fits}y` })[1]?.[1], fits);
  });
});

describe('endOf', () => {
  it('gives back what endHeaders wrote', () => {
    const anyText = fc.string({ unit: 'grapheme', maxLength: 300 });
    fc.assert(
      fc.property(fc.nat(16), anyText, (code, details) => {
        assert.deepEqual(endOf(endHeaders({ code, details }), true), { code, details });
      }),
    );
  });

  it('takes the first headers of an answer as no end, and a status among them as one', () => {
    assert.equal(endOf(ANSWER_HEADERS, false), undefined);
    const alone: HeaderField[] = [...ANSWER_HEADERS, ['grpc-status', '14']];
    assert.deepEqual(endOf(alone, true), { code: 14, details: '' });
  });

  it('takes an answer that is not 200, or not gRPC, as "unavailable"', () => {
    assert.deepEqual(endOf([[':status', '503']], false), {
      code: status.UNAVAILABLE,
      details: 'Received HTTP status code 503',
    });
    for (const fields of [
      [[':status', '200']],
      [
        [':status', '200'],
        ['content-type', 'text/html'],
      ],
    ] as HeaderField[][])
      assert.deepEqual(endOf(fields, false), {
        code: status.UNAVAILABLE,
        details: 'the answer is not gRPC',
      });
  });

  it('takes trailers without a status, or with one that is no number, as "unknown"', () => {
    const unknown = { code: status.UNKNOWN, details: 'the call ended without a status' };
    for (const value of ['', 'x', '-1', '1e1', '0x2', '1234', ' 1'])
      assert.deepEqual(endOf([['grpc-status', value]], true), unknown);
    assert.deepEqual(endOf([], true), unknown);
    assert.deepEqual(endOf([['grpc-status', '999']], true), { code: 999, details: '' });
  });

  it('leaves a sentence as it came if its encoding is broken', () => {
    for (const text of ['100 % sure', '%', '%4', '%zz', '%ff', 'a%C3'])
      assert.deepEqual(
        endOf(
          [
            ['grpc-status', '2'],
            ['grpc-message', text],
          ],
          true,
        ),
        { code: 2, details: text },
      );
  });
});
