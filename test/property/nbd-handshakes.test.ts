/**
 * Handshakes with input nobody thought of: how the bytes are cut must not matter, and whatever comes,
 * the only error is NbdProtocolError. On a failure fast-check prints the seed and the smallest input;
 * FC_SEED repeats it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ClientHandshake, NbdProtocolError, ServerHandshake } from 'nbd-server-helpers';
import { GREETING, bytes, cut, option, text, u16, u32 } from '#test/support/nbd-bytes.js';

const SEED = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31);
const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 300), seed: SEED };
const shortLengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });

describe(`NBD handshakes (FC_SEED=${SEED})`, () => {
  const facts = {
    name: 'vol0',
    sizeBytes: 4096,
    transmissionFlags: 1,
    minimumBlockBytes: 1,
    preferredBlockBytes: 4096,
    maximumPayloadBytes: 4096,
    metaContexts: ['base:allocation'],
  };

  /** Everything a server does with the bytes of one client. */
  function serve(chunks: readonly Buffer[]): { sent: string; end: string } {
    const server = new ServerHandshake({
      exports: { list: () => [facts], find: (name) => (name === 'vol0' ? facts : undefined) },
      tls: 'unavailable',
      extendedHeaders: true,
    });
    let sent = server.begin().toString('hex');
    for (const part of chunks) {
      try {
        const { send, outcome } = server.push(part);
        sent += send.toString('hex');
        if (outcome !== undefined) return { sent, end: outcome.kind };
      } catch (error) {
        if (error instanceof NbdProtocolError) return { sent: '', end: 'refused' };
        throw error;
      }
    }
    return { sent, end: 'waiting' };
  }

  const anOption = fc.oneof(
    fc.record({ number: fc.nat(12), data: fc.uint8Array({ maxLength: 40 }) }),
    fc.record({
      number: fc.constantFrom(1, 6, 7),
      data: fc.constantFrom('vol0', 'vol1', '').map((name) => bytes(text(name), u16(1), u16(3))),
    }),
    fc.record({
      number: fc.constantFrom(9, 10),
      data: fc
        .constantFrom('base:', 'base:allocation', 'x')
        .map((query) => bytes(text('vol0'), u32(1), text(query))),
    }),
  );

  it('the server answers any options in the same way, however they were cut', () => {
    fc.assert(
      fc.property(fc.array(anOption, { maxLength: 8 }), shortLengths, (options, sizes) => {
        const list = options.map(({ number, data }) => option(number, Buffer.from(data)));
        const wire = bytes(u32(3), ...list);
        assert.deepEqual(serve(cut(wire, sizes)), serve([wire]));
      }),
      RUNS,
    );
  });

  it('the server never fails in another way than NbdProtocolError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), shortLengths, (garbage, sizes) => {
        serve(cut(bytes(u32(3), Buffer.from(garbage)), sizes));
        serve(cut(bytes(u32(3), option(8).subarray(0, 8), Buffer.from(garbage)), sizes));
      }),
      RUNS,
    );
  });

  it('the client never fails in another way than NbdProtocolError', () => {
    const answer = fc.record({
      type: fc.constantFrom(1, 2, 3, 4, 0x80000001, 0x80000009),
      option: fc.constantFrom(3, 7, 8, 10, 11),
      data: fc.uint8Array({ maxLength: 30 }),
    });
    fc.assert(
      fc.property(
        fc.array(answer, { maxLength: 6 }),
        fc.constantFrom('go', 'list'),
        (answers, purpose) => {
          const client = new ClientHandshake({
            exportName: 'vol0',
            purpose: purpose === 'go' ? 'go' : 'list',
            replyKind: 'extended',
            metaContexts: ['base:allocation'],
            tls: 'never',
          });
          client.push(GREETING);
          for (const { type, option: number, data } of answers) {
            const header = bytes(Buffer.from('0003e889045565a9', 'hex'), u32(number), u32(type));
            const message = bytes(header, u32(data.length), Buffer.from(data));
            try {
              if (client.push(message).outcome?.kind === 'transmission') return;
            } catch (error) {
              assert.ok(error instanceof NbdProtocolError, String(error));
            }
          }
        },
      ),
      RUNS,
    );
  });
});
