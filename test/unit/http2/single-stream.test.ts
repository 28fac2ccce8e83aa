/** One end of an HTTP/2 connection with one stream (RFC 9113): what it says, and what it makes of a peer that keeps the rules. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  FRAME_BYTES_MAX,
  HeardStream,
  WINDOW_BYTES,
  firstBytes,
} from '#test/support/heard-stream.js';
import {
  FLAG,
  FRAME,
  MAGIC,
  SETTINGS_ACK,
  data,
  frame,
  framesOf,
  goAway,
  headerField,
  headers,
  paddedData,
  ping,
  reset,
  settings,
  u32,
  windowUpdate,
} from '#test/support/http2-frames.js';
import { cuts, pattern } from '#test/support/nbd-bytes.js';

const ROLES = ['client', 'server'] as const;
const OK = headers({ ':status': '200' });
const LAST = FLAG.endStream;

describe('the first frames', () => {
  it('are the preface, settings and the connection’s window of a client (section 3.4)', () => {
    const expected = [
      MAGIC,
      settings([4, WINDOW_BYTES], [5, FRAME_BYTES_MAX], [6, 16_384], [2, 0], [0xfb1f, 1]),
      windowUpdate(0, WINDOW_BYTES - 65_535),
    ];
    assert.deepEqual(new HeardStream('client').stream.opening(), Buffer.concat(expected));
  });

  it('are settings and the connection’s window of a server, which takes one stream', () => {
    const expected = [
      settings([4, WINDOW_BYTES], [5, FRAME_BYTES_MAX], [6, 16_384], [3, 1], [0xfb1f, 1]),
      windowUpdate(0, WINDOW_BYTES - 65_535),
    ];
    assert.deepEqual(new HeardStream('server').stream.opening(), Buffer.concat(expected));
  });

  it('are acknowledged (section 6.5.3)', () => {
    for (const role of ROLES) {
      const { heard, control } = new HeardStream(role).receive(firstBytes(role));
      assert.deepEqual(heard, ['control', 'room']);
      assert.deepEqual(control, [SETTINGS_ACK]);
    }
  });

  it('may be followed by the other end’s acknowledgement, which is not answered', () => {
    for (const role of ROLES) {
      const { heard } = HeardStream.begun(role).receive(SETTINGS_ACK);
      assert.deepEqual(heard, []);
    }
  });
});

describe('a conversation', () => {
  const CALL = headers({ ':method': 'POST', ':path': '/x' });
  const split = Buffer.concat([headerField(':status', '200'), headerField('a', 'b')]);
  const conversation = [
    settings([4, 200_000], [5, 30_000]),
    ping('12345678'),
    windowUpdate(0, 1000),
    data('one'),
    frame(0xbe, 0x55, 1, pattern(20)),
    paddedData('two', 20),
    windowUpdate(1, 1000),
    frame(FRAME.priority, 0, 1, Buffer.alloc(5)),
    data(''),
    goAway(0x7fff_ffff, 0),
    settings([4, 100_000]),
    ping('87654321', FLAG.ack),
  ];

  it('is told in order to a server, wherever it is cut', () => {
    const wire = Buffer.concat([firstBytes('server'), CALL, ...conversation, data('!', LAST)]);
    const heard = ['control', 'room', 'headers :method=POST :path=/x'];
    heard.push('control', 'room', 'control', 'room', 'data', 'room');
    heard.push('control', 'room', 'answered', 'data', 'ended');
    for (const chunks of cuts(wire)) {
      const stream = new HeardStream('server').receive(...chunks);
      assert.deepEqual(stream.heard, heard);
      assert.equal(String(Buffer.concat(stream.data)), 'onetwo!');
      const answers = [SETTINGS_ACK, SETTINGS_ACK, ping('12345678', FLAG.ack), SETTINGS_ACK];
      assert.deepEqual(stream.control, answers);
      const windows = { streamBytes: 101_000, connectionBytes: 66_535 };
      assert.deepEqual(stream.stream.allowance.windows, windows);
      assert.equal(stream.stream.allowance.frameBytesMax, 30_000);
    }
  });

  it('is told in order to a client, wherever it is cut', () => {
    const wire = Buffer.concat([
      firstBytes('client'),
      headers({ ':status': '103', link: 'x' }),
      frame(FRAME.headers, 0, 1, split.subarray(0, 9)),
      frame(FRAME.continuation, 0, 1, split.subarray(9, 10)),
      frame(FRAME.continuation, FLAG.endHeaders, 1, split.subarray(10)),
      ...conversation,
      headers({ 'grpc-status': '0' }, LAST),
    ]);
    const heard = ['control', 'room', 'headers :status=200 a=b'];
    heard.push('control', 'room', 'control', 'room', 'data', 'room');
    heard.push('control', 'room', 'answered', 'trailers grpc-status=0');
    for (const chunks of cuts(wire)) {
      const stream = new HeardStream('client').receive(...chunks);
      assert.deepEqual(stream.heard, heard);
      assert.equal(String(Buffer.concat(stream.data)), 'onetwo');
    }
  });

  it('may consist of trailers alone, which are the first headers too', () => {
    const { heard } = HeardStream.begun('client').receive(headers({ ':status': '200' }, LAST));
    assert.deepEqual(heard, ['trailers :status=200']);
  });

  it('has any number of answers 1xx before the one that counts (section 8.1)', () => {
    const stream = HeardStream.begun('client');
    for (const status of ['100', '102', '103', '199'])
      stream.receive(headers({ ':status': status }));
    assert.deepEqual(stream.heard, []);
    stream.receive(OK);
    assert.deepEqual(stream.heard, ['headers :status=200']);
  });

  it('ends at a server with trailers as well as with data', () => {
    const stream = HeardStream.begun('server').receive(CALL, data('x'), headers({ a: 'b' }, LAST));
    assert.deepEqual(stream.heard.slice(1), ['data', 'trailers a=b']);
    const empty = HeardStream.begun('server').receive(CALL, data('', LAST));
    assert.deepEqual(empty.heard.slice(1), ['ended']);
    const padded = HeardStream.begun('server').receive(CALL, paddedData('', 3, LAST));
    assert.deepEqual(padded.heard.slice(1), ['ended']);
  });

  it('remembers header fields from one block to the next (RFC 7541)', () => {
    // A literal that is to be remembered, then the field that was.
    const remembered = Buffer.concat([
      Buffer.from([0x40, 1]),
      Buffer.from('a'),
      Buffer.from([1]),
      Buffer.from('b'),
    ]);
    const block = frame(FRAME.headers, FLAG.endHeaders, 1, remembered);
    const again = frame(FRAME.headers, FLAG.endHeaders | LAST, 1, Buffer.from([0x80 | 62]));
    const { heard } = HeardStream.begun('server').receive(block, again);
    assert.deepEqual(heard, ['headers a=b', 'trailers a=b']);
  });

  it('goes on while frames of unknown types come anywhere but in a header block (section 5.5)', () => {
    const unknown = [0x0a, 0x0c, 0x42, 0xff].map((type) => frame(type, 0xff, 99, pattern(50)));
    for (const role of ROLES) {
      const stream = HeardStream.begun(role).receive(
        ...unknown,
        OK,
        ...unknown,
        data('x'),
        ...unknown,
      );
      assert.deepEqual(stream.heard, ['headers :status=200', 'data']);
    }
  });
});

describe('what this end says', () => {
  it('is a HEADERS frame of the stream', () => {
    const { stream } = new HeardStream('client');
    const [first] = framesOf(stream.headersBytes([['a', 'b']], false));
    assert.deepEqual([first?.type, first?.flags, first?.streamId], [1, 4, 1]);
    assert.deepEqual(first?.payload, headerField('a', 'b'));
    const [last] = framesOf(stream.headersBytes([['a', 'b']], true));
    assert.equal(last?.flags, 5);
  });

  it('is a ping, whose answer is told', () => {
    const stream = HeardStream.begun('server');
    assert.deepEqual(stream.stream.ping(Buffer.from('abcdefgh')), ping('abcdefgh'));
    stream.receive(ping('abcdefgh', FLAG.ack));
    assert.deepEqual(stream.heard, ['answered']);
  });

  it('is, when a client gives up, a reset and a GOAWAY (section 5.4.1)', () => {
    const { stream } = HeardStream.begun('client');
    const said = stream.abortion('CANCEL', 'why');
    assert.deepEqual(said, Buffer.concat([reset(8), goAway(0, 8, 'why')]));
  });

  it('is, when a server gives up, the same, but no reset of a stream that nobody opened', () => {
    const stream = HeardStream.begun('server');
    const before = stream.stream.abortion('ENHANCE_YOUR_CALM', '');
    assert.deepEqual(before, goAway(0, 11));
    stream.receive(OK);
    const after = stream.stream.abortion('PROTOCOL_ERROR', 'x');
    assert.deepEqual(after, Buffer.concat([reset(1), goAway(1, 1, 'x')]));
  });
});

describe('the windows of what is received', () => {
  function begun(): HeardStream {
    return HeardStream.begun('server').receive(OK);
  }

  /** By how much the windows grew: both by the same. */
  function givenBack({ control }: HeardStream): number[] {
    return control.splice(0).map((bytes) => {
      const grown = framesOf(bytes).map(({ payload }) => payload.readUInt32BE());
      assert.deepEqual(
        bytes,
        Buffer.concat([windowUpdate(1, grown[0]!), windowUpdate(0, grown[0]!)]),
      );
      return grown[0]!;
    });
  }

  it('are given back when half of them was taken', () => {
    const stream = begun();
    for (const length of [20_000, 20_000, 9_999]) stream.receive(data(pattern(length)));
    assert.deepEqual(givenBack(stream), []);
    stream.receive(data('x'));
    assert.deepEqual(givenBack(stream), [50_000]);
    for (let count = 0; count < 20; count += 1) stream.receive(data(pattern(20_000)));
    assert.equal(
      givenBack(stream).reduce((sum, bytes) => sum + bytes, 0),
      360_000,
    );
  });

  it('are given back while a long frame is still coming in', () => {
    const stream = HeardStream.begun('server', { windowBytes: 100_000, frameBytesMax: 100_000 });
    stream.receive(OK);
    stream.receive(data(pattern(100_000)).subarray(0, 60_009));
    assert.deepEqual(givenBack(stream), [60_000]);
  });

  it('count padding, which is given back like data (section 6.1)', () => {
    const stream = begun();
    const padded = paddedData('', 255);
    // 256 bytes each: one of them is the padding's length.
    const half = Math.ceil(WINDOW_BYTES / 2 / 256);
    for (let count = 1; count < half; count += 1) stream.receive(padded);
    assert.deepEqual(givenBack(stream), []);
    stream.receive(padded);
    assert.deepEqual(givenBack(stream), [half * 256]);
  });

  it('are kept back while they are held, and given back all at once', () => {
    const stream = begun();
    stream.stream.hold(true);
    for (let count = 0; count < 5; count += 1) stream.receive(data(pattern(20_000)));
    assert.deepEqual(givenBack(stream), []);
    stream.stream.hold(false);
    assert.deepEqual(givenBack(stream), [100_000]);
    stream.receive(data(pattern(20_000)));
  });

  it('are not concerned by frames that are not DATA', () => {
    const stream = begun();
    for (let count = 0; count < 20; count += 1) stream.receive(frame(0x77, 0, 1, pattern(16_000)));
    stream.receive(data(pattern(20_000)));
    assert.deepEqual(givenBack(stream), []);
  });
});

describe('an end by the peer', () => {
  it('is a reset of the stream (section 6.4)', () => {
    for (const role of ROLES) {
      const stream = HeardStream.begun(role).receive(OK, reset(8));
      assert.deepEqual(stream.heard.slice(1), ['aborted stream reset with CANCEL']);
    }
    // Before it answered.
    const early = HeardStream.begun('client').receive(reset(7));
    assert.deepEqual(early.heard, ['aborted stream reset with REFUSED_STREAM']);
  });

  it('is a GOAWAY that says why (section 6.8)', () => {
    for (const role of ROLES)
      for (const lastStreamId of [0, 1, 0x7fff_ffff]) {
        const { heard } = HeardStream.begun(role).receive(
          goAway(lastStreamId, 11, 'too_many_pings'),
        );
        assert.deepEqual(heard, [
          'aborted connection given up with ENHANCE_YOUR_CALM too_many_pings',
        ]);
      }
    const { heard } = HeardStream.begun('client').receive(goAway(0, 0xabc, 'x'.repeat(1000)));
    assert.deepEqual(heard, [
      `aborted connection given up with error code 0xabc ${'x'.repeat(200)}`,
    ]);
  });

  it('is a GOAWAY in order that does not know our stream', () => {
    const { heard } = HeardStream.begun('client').receive(goAway(0, 0));
    assert.deepEqual(heard, ['aborted connection given up with NO_ERROR']);
  });

  it('is no GOAWAY in order that knows our stream, nor any of a client’s', () => {
    const client = HeardStream.begun('client').receive(OK, goAway(1, 0), data('x'));
    assert.deepEqual(client.heard, ['headers :status=200', 'data']);
    const server = HeardStream.begun('server').receive(goAway(0, 0), OK);
    assert.deepEqual(server.heard, ['headers :status=200']);
  });

  it('is as long as section 6.8 says: the reserved bit is left out', () => {
    const reserved = frame(FRAME.goAway, 0, 0, Buffer.concat([u32(0x8000_0001), u32(0)]));
    assert.deepEqual(HeardStream.begun('client').receive(reserved).heard, []);
  });
});
