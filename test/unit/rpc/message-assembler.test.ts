/** Messages of gRPC out of a stream: the same wherever it is cut, and few objects however small the pieces are. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MessageAssembler } from '#daemon/rpc/message-assembler.js';
import { letGo, letGoAll, takeSlab } from '#daemon/runtime/reused-memory.js';
import { grpcMessage, u32 } from '#test/support/http2-frames.js';
import { cut, cuts, pattern } from '#test/support/nbd-bytes.js';
import { refusal } from '#test/support/storage-refusal.js';

const MAX = 1024 * 1024;

function assembler(bytesMax = MAX): { stream: MessageAssembler; messages: Buffer[][] } {
  const messages: Buffer[][] = [];
  const stream = new MessageAssembler(bytesMax, (pieces) => messages.push([...pieces]));
  return { stream, messages };
}

function assembled(chunks: readonly Buffer[]): Buffer[] {
  const { stream, messages } = assembler();
  for (const chunk of chunks) stream.push(chunk);
  assert.equal(stream.isInside, false);
  return messages.map((pieces) => Buffer.concat(pieces));
}

describe('MessageAssembler', () => {
  it('holds what it hands on: nobody else need look at what was received', () => {
    const contents = [pattern(70), pattern(9000), pattern(4096), pattern(1)];
    const wire = Buffer.concat(contents.map((content) => grpcMessage(content)));
    for (const chunks of cuts(wire)) {
      const { stream, messages } = assembler();
      const slabs = chunks.map((chunk) => {
        const slab = takeSlab(chunk.length);
        chunk.copy(slab);
        stream.push(slab);
        letGo(slab);
        return slab;
      });
      assert.deepEqual(
        messages.map((pieces) => Buffer.concat(pieces)),
        contents,
      );
      for (const pieces of messages) letGoAll(pieces);
      assert.ok(slabs.every(({ length }) => length === 0));
    }
  });

  it('gives the same messages wherever the stream is cut', () => {
    const contents = [pattern(70), Buffer.alloc(0), pattern(1), pattern(300, 9)];
    const wire = Buffer.concat(contents.map((content) => grpcMessage(content)));
    for (const chunks of cuts(wire)) assert.deepEqual(assembled(chunks), contents);
  });

  it('gives the same messages in pieces of any lengths', () => {
    const anyContents = fc.array(
      fc.nat(20_000).map((length) => pattern(length)),
      { maxLength: 8 },
    );
    const anyLengths = fc.array(
      fc.oneof(fc.nat(12), fc.nat(9000)).map((length) => length + 1),
      {
        minLength: 1,
        maxLength: 8,
      },
    );
    fc.assert(
      fc.property(anyContents, anyLengths, (contents, lengths) => {
        const wire = Buffer.concat(contents.map((content) => grpcMessage(content)));
        assert.deepEqual(assembled(cut(wire, lengths)), contents);
      }),
    );
  });

  it('gives a message of no bytes as one empty piece, at once', () => {
    const { stream, messages } = assembler();
    stream.push(u32(0));
    assert.deepEqual(messages, []);
    assert.equal(stream.isInside, true);
    stream.push(Buffer.alloc(1));
    assert.deepEqual(messages, [[Buffer.alloc(0)]]);
    assert.equal(stream.isInside, false);
  });

  it('gives large pieces as views onto what was received', () => {
    const { stream, messages } = assembler();
    const wire = grpcMessage(pattern(10_000));
    const first = Buffer.from(wire.subarray(0, 5005));
    const second = Buffer.from(wire.subarray(5005));
    for (const chunk of [first, second]) stream.push(chunk);
    const [pieces] = messages;
    assert.deepEqual(
      pieces?.map(({ buffer, byteOffset, length }) => [buffer, byteOffset, length]),
      [
        [first.buffer, first.byteOffset + 5, 5000],
        [second.buffer, second.byteOffset, 5000],
      ],
    );
  });

  it('gives a short message that came whole as a view too', () => {
    const { stream, messages } = assembler();
    const wire = Buffer.concat([grpcMessage('one'), grpcMessage('two')]);
    stream.push(wire);
    const [first, second] = messages;
    assert.equal(first?.length, 1);
    assert.equal(first[0]?.buffer, wire.buffer);
    assert.equal(second?.[0]?.buffer, wire.buffer);
    assert.deepEqual(second[0], Buffer.from('two'));
  });

  it('puts small pieces side by side, in few objects', () => {
    const { stream, messages } = assembler();
    const wire = grpcMessage(pattern(200_000));
    for (let at = 0; at < wire.length; at += 1) stream.push(wire.subarray(at, at + 1));
    const [pieces = []] = messages;
    assert.equal(pieces.length, Math.ceil(200_000 / (64 * 1024)));
    assert.ok(Buffer.concat(pieces).equals(pattern(200_000)));
  });

  it('keeps small and large pieces in order', () => {
    const content = pattern(30_000);
    const lengths = [5 + 10, 20, 4095, 4096, 1, 5000, 4095, 4095, 3, 8000, 30_000];
    const { stream, messages } = assembler();
    for (const chunk of cut(grpcMessage(content), lengths)) stream.push(chunk);
    const [pieces = []] = messages;
    assert.deepEqual(
      pieces.map(({ length }) => length),
      [10 + 20 + 4095, 4096, 1, 5000, 4095 + 4095 + 3, 8000, 585],
    );
    assert.ok(Buffer.concat(pieces).equals(content));
  });

  it('does not change a message, once given, with what comes later', () => {
    const { stream, messages } = assembler();
    const wire = Buffer.concat([grpcMessage('first'), grpcMessage('other')]);
    for (const chunk of cut(wire, [2])) stream.push(chunk);
    assert.deepEqual(
      messages.map((pieces) => String(Buffer.concat(pieces))),
      ['first', 'other'],
    );
  });

  it('takes a message of the longest length, and refuses one of a byte more before it is there', () => {
    const { stream, messages } = assembler(100);
    stream.push(grpcMessage(pattern(100)));
    assert.equal(messages.length, 1);
    const tooLong = refusal('exhausted', /^Received message larger than max \(101 vs 100\)$/);
    assert.throws(() => {
      stream.push(grpcMessage(pattern(101)).subarray(0, 5));
    }, tooLong);
    assert.throws(
      () => {
        assembler(100).stream.push(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
      },
      refusal('exhausted', /4294967295 vs 100/),
    );
  });

  it('takes flag 0 and refuses every other, of which 1 says that the message is compressed', () => {
    for (let flag = 0; flag < 256; flag += 1) {
      const { stream, messages } = assembler();
      const push = (): void => {
        stream.push(grpcMessage('x', flag));
      };
      if (flag === 0) push();
      else assert.throws(push, refusal('invalid', /compressed, which nobody asked for/));
      assert.equal(messages.length, flag === 0 ? 1 : 0);
    }
  });
});
