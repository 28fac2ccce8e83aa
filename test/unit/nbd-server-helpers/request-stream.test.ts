/** Requests from received chunks: expected values are stated, bytes come from the naive builder. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  NbdProtocolError,
  RequestStream,
  SKIPPED_PAYLOAD_BYTES_MAX,
  type NbdRequest,
} from 'nbd-server-helpers';
import { letGo, letGoAll, takeSlab } from '#daemon/runtime/reused-memory.js';
import {
  READ,
  bytes,
  cuts,
  extendedRequest,
  hex,
  pattern,
  request,
  write,
} from '#test/support/nbd-bytes.js';

const MAX = 1024 * 1024;

function compact(payloadBytesMax = MAX): RequestStream {
  return new RequestStream({ extendedHeaders: false, payloadBytesMax });
}

function extended(payloadBytesMax = MAX): RequestStream {
  return new RequestStream({ extendedHeaders: true, payloadBytesMax });
}

/** A request as plain values, its payload in one piece. */
function plain(received: NbdRequest): object {
  return { ...received, payload: Buffer.concat(received.payload).toString('hex') };
}

function pushAll(stream: RequestStream, chunks: readonly Buffer[]): object[] {
  return chunks.flatMap((chunk) => stream.push(chunk)).map(plain);
}

describe('RequestStream', () => {
  it('decodes every field of a compact request', () => {
    const wire = hex('25609513 0009 0007 1122334455667788 0000000100000200 00001000');
    assert.deepEqual(pushAll(compact(), [wire]), [
      {
        flags: 9,
        command: 7,
        cookieHigh: 0x11223344,
        cookieLow: 0x55667788,
        offsetBytes: 2 ** 32 + 512,
        lengthBytes: 4096,
        payload: '',
        oversized: false,
      },
    ]);
  });

  it('decodes every field of an extended request, with a length above 2^32', () => {
    const wire = hex('21e41c71 0001 0004 ffffffff80000000 0000000100000200 0000002000000000');
    assert.deepEqual(pushAll(extended(), [wire]), [
      {
        flags: 1,
        command: 4,
        cookieHigh: 0xffffffff,
        cookieLow: 0x80000000,
        offsetBytes: 2 ** 32 + 512,
        lengthBytes: 2 ** 37,
        payload: '',
        oversized: false,
      },
    ]);
  });

  it('gives the same requests wherever the bytes are cut', () => {
    const wire = bytes(
      request(READ),
      request(write(pattern(70), 2n)),
      request({ ...READ, command: 3, cookie: 3n, length: 0 }),
      request(write(pattern(5, 9), 4n)),
    );
    const expected = pushAll(compact(), [wire]);
    assert.equal(expected.length, 4);
    for (const chunks of cuts(wire)) assert.deepEqual(pushAll(compact(), chunks), expected);
  });

  it('gives the same extended requests wherever the bytes are cut', () => {
    const wire = bytes(
      extendedRequest({ ...write(pattern(40), 2n), flags: 0x20 }),
      extendedRequest({ ...READ, command: 6, length: 2n ** 40n }),
      extendedRequest({ ...READ, command: 7, flags: 0x20, length: 12, payload: pattern(12) }),
      extendedRequest(READ),
    );
    const expected = pushAll(extended(), [wire]);
    assert.equal(expected.length, 4);
    for (const chunks of cuts(wire)) assert.deepEqual(pushAll(extended(), chunks), expected);
  });

  it('gives a payload as views onto the received chunks, without a copy', () => {
    const first = bytes(request(write(pattern(5000), 1n)).subarray(0, 3000));
    const second = bytes(request(write(pattern(5000), 1n)).subarray(3000));
    const stream = compact();
    assert.deepEqual(stream.push(first), []);
    const [received] = stream.push(second);
    assert.equal(received?.payload.length, 2);
    assert.equal(received.payload[0]?.buffer, first.buffer);
    assert.equal(received.payload[1]?.buffer, second.buffer);
    assert.deepEqual(Buffer.concat(received.payload), pattern(5000));
  });

  it('takes a write of no bytes as complete', () => {
    const [received] = compact().push(request(write(Buffer.alloc(0), 1n)));
    assert.deepEqual(received?.payload, []);
    assert.equal(received.oversized, false);
  });

  it('keeps a long payload in few pieces when it arrives byte by byte', () => {
    const wire = request(write(pattern(64 * 1024), 1n));
    const stream = compact();
    const [received] = Array.from(wire, (byte) => stream.push(Buffer.from([byte]))).flat();
    assert.deepEqual(Buffer.concat(received?.payload ?? []), pattern(64 * 1024));
    assert.ok((received?.payload.length ?? 0) < 64, `${received?.payload.length} pieces`);
  });

  it('refuses a wrong magic with a sentence', () => {
    assert.throws(() => compact().push(hex('25609514' + '00'.repeat(24))), {
      name: 'NbdProtocolError',
      message: 'request magic is 0x25609514, expected 0x25609513',
    });
  });

  it('refuses compact requests where extended ones were agreed on, and the other way round', () => {
    assert.throws(() => extended().push(bytes(request(READ), request(READ))), NbdProtocolError);
    assert.throws(() => compact().push(extendedRequest(READ)), NbdProtocolError);
  });

  it('passes on unknown commands and flags', () => {
    const [received] = compact().push(request({ ...READ, command: 0xffff, flags: 0x8000 }));
    assert.equal(received?.command, 0xffff);
    assert.equal(received.flags, 0x8000);
  });

  it('keeps the stream good after an offset beyond 2^53', () => {
    const wire = bytes(request({ ...READ, offset: 2n ** 64n - 1n }), request(READ));
    const [first, second] = compact().push(wire);
    assert.equal(first?.offsetBytes, 2 ** 64);
    assert.equal(second?.offsetBytes, 0);
  });
});

describe('RequestStream, payload limit', () => {
  it('keeps a payload of exactly the limit', () => {
    const [received] = compact(100).push(request(write(pattern(100), 1n)));
    assert.equal(received?.oversized, false);
    assert.deepEqual(Buffer.concat(received.payload), pattern(100));
  });

  it('skips a payload of one byte more, and goes on with the next request', () => {
    const wire = bytes(request(write(pattern(101), 1n)), request(READ));
    for (const chunks of cuts(wire)) {
      const stream = compact(100);
      const received = chunks.flatMap((chunk) => stream.push(chunk));
      assert.deepEqual(
        received.map(({ command, oversized, payload }) => [command, oversized, payload.length]),
        [
          [1, true, 0],
          [0, false, 0],
        ],
      );
    }
  });

  it('skips up to the named limit, and closes beyond', () => {
    const longest = { ...write(Buffer.alloc(0), 1n), length: SKIPPED_PAYLOAD_BYTES_MAX };
    assert.deepEqual(compact().push(request(longest)), []);
    assert.throws(
      () => compact().push(request({ ...longest, length: SKIPPED_PAYLOAD_BYTES_MAX + 1 })),
      NbdProtocolError,
    );
  });

  it('skips the payload of a command that has none, and reports its length', () => {
    const wire = bytes(
      extendedRequest({ ...READ, flags: 0x20, length: 600, payload: pattern(600) }),
      extendedRequest(READ),
    );
    const [first, second] = extended(100).push(wire);
    assert.deepEqual(first?.payload, []);
    assert.equal(first.flags, 0x20);
    assert.equal(first.lengthBytes, 600);
    assert.equal(second?.lengthBytes, 512);
  });

  it('closes on an extended payload of 2^64 - 1 bytes', () => {
    const wire = extendedRequest({
      ...write(Buffer.alloc(0), 1n),
      flags: 0x20,
      length: 2n ** 64n - 1n,
    });
    assert.throws(() => extended().push(wire), NbdProtocolError);
  });

  it('closes on an extended write without PAYLOAD_LEN: data and headers could be mistaken', () => {
    assert.throws(() => extended().push(extendedRequest(write(pattern(8), 1n))), NbdProtocolError);
  });
});

describe('RequestStream.incompleteBytes', () => {
  it('counts the bytes of an unfinished request, and is 0 behind a whole one', () => {
    const wire = request(write(pattern(50), 1n));
    const stream = compact();
    for (let at = 0; at < wire.length; at += 1) {
      assert.equal(stream.incompleteBytes, at);
      stream.push(wire.subarray(at, at + 1));
    }
    assert.equal(stream.incompleteBytes, 0);
  });

  it('counts skipped payload too', () => {
    const stream = compact(10);
    stream.push(request(write(pattern(50), 1n)).subarray(0, 40));
    assert.equal(stream.incompleteBytes, 40);
  });
});

describe('RequestStream.keptBytes', () => {
  const wire = bytes(request(READ), request(write(pattern(3000), 1n)), request(READ));

  /** Pushes a chunk as it is received, and lets go of all but what is kept. */
  function receive(stream: RequestStream, content: Buffer): [chunk: Buffer, NbdRequest[]] {
    const chunk = takeSlab(content.length);
    content.copy(chunk);
    const requests = stream.push(chunk);
    letGo(chunk, chunk.length - stream.keptBytes);
    return [chunk, requests];
  }

  it('is what payloads are views onto: nobody looks at the rest, wherever the stream is cut', () => {
    for (const pieces of cuts(wire)) {
      const stream = compact();
      const requests = pieces.flatMap((piece) => receive(stream, piece)[1]);
      assert.deepEqual(requests.map(plain), pushAll(compact(), [wire]));
    }
  });

  it('is all that has to be let go of when the requests are done', () => {
    const [chunk, requests] = receive(compact(), wire);
    assert.equal(chunk.length, wire.length);
    for (const { payload } of requests) letGoAll(payload);
    assert.equal(chunk.length, 0);
  });

  it('is nothing where no payload is kept', () => {
    const [skipped] = receive(compact(100), wire);
    const [header] = receive(compact(), wire.subarray(0, 40));
    assert.deepEqual([skipped.length, header.length], [0, 0]);
  });
});
