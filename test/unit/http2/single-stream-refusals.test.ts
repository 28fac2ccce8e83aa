/** Peers that break a rule of RFC 9113: for each the error that a GOAWAY tells, beside what is just allowed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NotHttp2Error, type Http2ErrorCode } from '#daemon/http2/http2-error.js';
import { broken } from '#test/support/header-refusal.js';
import { FRAME_BYTES_MAX, HeardStream, firstBytes } from '#test/support/heard-stream.js';
import {
  CLIENT_PREFACE,
  FLAG,
  FRAME,
  MAGIC,
  SETTINGS_ACK,
  data,
  frame,
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

type Role = 'client' | 'server';
const ROLES: readonly Role[] = ['client', 'server'];
const OK = headers({ ':status': '200' });
const LAST = FLAG.endStream;

/** `before` is taken; what comes then is refused, wherever it is cut. */
function refused(
  role: Role,
  before: readonly Buffer[],
  wrong: Buffer,
  code: Http2ErrorCode,
  sentence: RegExp,
): void {
  const places = wrong.length <= 200 ? [...cuts(wrong)] : [[wrong]];
  for (const chunks of places) {
    const stream = HeardStream.begun(role).receive(...before);
    assert.throws(() => stream.receive(...chunks), broken(sentence, code));
  }
}

describe('the beginning of a connection', () => {
  it('is the preface of HTTP/2 at a server (section 3.4)', () => {
    const others = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n'),
      Buffer.from('160301', 'hex'),
      settings(),
    ];
    for (const other of others)
      for (const chunks of cuts(other))
        assert.throws(
          () => new HeardStream('server').receive(...chunks),
          broken(/^the client does not speak HTTP\/2$/, 'PROTOCOL_ERROR'),
        );
  });

  it('is refused at the first byte that is not of it', () => {
    for (let at = 0; at < MAGIC.length; at += 1) {
      const other = Buffer.from(MAGIC);
      other[at]! ^= 1;
      const stream = new HeardStream('server').receive(other.subarray(0, at));
      assert.throws(
        () => stream.receive(other.subarray(at, at + 1)),
        broken(/HTTP\/2/, 'PROTOCOL_ERROR'),
      );
    }
  });

  it('is SETTINGS, before anything else', () => {
    const first = (role: Role, bytes: Buffer): Buffer =>
      role === 'server' ? Buffer.concat([MAGIC, bytes]) : bytes;
    for (const role of ROLES) {
      for (const other of [
        ...[SETTINGS_ACK, ping('12345678'), OK, data('x'), windowUpdate(0, 1), goAway(0, 0)],
        ...[reset(8), frame(0x77, 0, 0, Buffer.alloc(0))],
      ])
        assert.throws(
          () => new HeardStream(role).receive(first(role, other)),
          broken(/the first frame is not SETTINGS$/, 'PROTOCOL_ERROR'),
        );
      new HeardStream(role).receive(first(role, settings()));
    }
  });

  it('is not HTTP/1 at a client, wherever it is cut', () => {
    for (const chunks of cuts(Buffer.from('HTTP/1.1 400 Bad Request\r\n')))
      assert.throws(
        () => new HeardStream('client').receive(...chunks),
        (error: unknown) =>
          error instanceof NotHttp2Error &&
          /^the server does not speak HTTP\/2: the first frame is not SETTINGS$/.test(
            error.message,
          ),
      );
  });

  it('is known by its first frame’s head, however long that frame is', () => {
    const head = Buffer.from('HTTP/1.1 ');
    const stream = new HeardStream('client').receive(head.subarray(0, 8));
    assert.throws(() => stream.receive(head.subarray(8)), NotHttp2Error);
  });

  it('has the preface once', () => {
    const stream = new HeardStream('server').receive(CLIENT_PREFACE);
    assert.throws(() => stream.receive(MAGIC), broken(/of type/, 'FRAME_SIZE_ERROR'));
  });
});

describe('SETTINGS (section 6.5)', () => {
  it('belong to the connection, not to a stream', () => {
    for (const role of ROLES)
      refused(
        role,
        [],
        frame(FRAME.settings, 0, 1, Buffer.alloc(0)),
        'PROTOCOL_ERROR',
        /for a stream/,
      );
  });

  it('are six bytes each, and none in an acknowledgement', () => {
    for (const length of [1, 5, 7])
      refused(
        'server',
        [],
        frame(4, 0, 0, Buffer.alloc(length)),
        'FRAME_SIZE_ERROR',
        /SETTINGS came with/,
      );
    refused(
      'server',
      [],
      frame(4, FLAG.ack, 0, Buffer.alloc(6)),
      'FRAME_SIZE_ERROR',
      /with 6 bytes/,
    );
    HeardStream.begun('server').receive(settings([1, 1], [2, 1], [3, 1]));
  });

  it('keep the limits of their values', () => {
    refused(
      'client',
      [],
      settings([4, 2 ** 31]),
      'FLOW_CONTROL_ERROR',
      /a window of 2147483648 bytes/,
    );
    refused('client', [], settings([5, 16_383]), 'PROTOCOL_ERROR', /frames of 16383 bytes/);
    refused('client', [], settings([2, 2]), 'PROTOCOL_ERROR', /ENABLE_PUSH is 2/);
  });

  it('are not acknowledged if they are refused', () => {
    const stream = HeardStream.begun('client');
    assert.throws(() => stream.receive(settings([5, 1])));
    assert.deepEqual(stream.heard, []);
  });
});

describe('windows (section 6.9)', () => {
  it('do not grow beyond their limit, nor by nothing, nor of a stream that is not there', () => {
    for (const streamId of [0, 1]) {
      const full = windowUpdate(streamId, 2 ** 31 - 1 - 65_535);
      HeardStream.begun('client').receive(full);
      refused('client', [full], windowUpdate(streamId, 1), 'FLOW_CONTROL_ERROR', /grew beyond/);
      refused('client', [], windowUpdate(streamId, 0), 'PROTOCOL_ERROR', /grow by nothing/);
      // The first bit is reserved.
      refused('client', [], windowUpdate(streamId, 2 ** 31), 'PROTOCOL_ERROR', /grow by nothing/);
    }
    refused('server', [OK], windowUpdate(3, 1), 'PROTOCOL_ERROR', /a window of stream 3/);
    for (const length of [3, 5])
      refused(
        'server',
        [],
        frame(8, 0, 0, Buffer.alloc(length)),
        'FRAME_SIZE_ERROR',
        /WINDOW_UPDATE/,
      );
  });

  it('are kept by the peer, padding included, also while nothing is given back', () => {
    const full = Array.from({ length: 5 }, () => data(pattern(20_000)));
    const held = (): HeardStream => {
      const stream = HeardStream.begun('server').receive(OK);
      stream.stream.hold(true);
      return stream.receive(...full);
    };
    held().receive(data(''));
    for (const more of [data('x'), paddedData('', 0)])
      assert.throws(
        () => held().receive(more),
        broken(/more than the window of 100000 bytes was sent/, 'FLOW_CONTROL_ERROR'),
      );
  });

  it('are refused with the header of the frame that is too long for them', () => {
    const stream = HeardStream.begun('server', { windowBytes: 70_000, frameBytesMax: 80_000 });
    stream.receive(OK);
    assert.throws(
      () => stream.receive(data(pattern(70_001)).subarray(0, 9)),
      broken(/more than the window of 70000/, 'FLOW_CONTROL_ERROR'),
    );
  });
});

describe('frames', () => {
  it('are as long as was announced (section 4.2)', () => {
    refused('server', [OK], data(pattern(FRAME_BYTES_MAX + 1)), 'FRAME_SIZE_ERROR', /20001 bytes/);
    refused('server', [], frame(0x77, 0, 0, pattern(16_385)), 'FRAME_SIZE_ERROR', /16385 bytes/);
    HeardStream.begun('server').receive(
      OK,
      data(pattern(FRAME_BYTES_MAX)),
      frame(0x77, 0, 0, pattern(16_384)),
    );
  });

  it('have the length of their type', () => {
    const wrong: [number, number, RegExp][] = [
      [FRAME.ping, 7, /^PING came with 7 bytes$/],
      [FRAME.ping, 9, /^PING came with 9 bytes$/],
      [FRAME.reset, 3, /^RST_STREAM came with 3 bytes$/],
      [FRAME.reset, 5, /^RST_STREAM came with 5 bytes$/],
      [FRAME.priority, 4, /^PRIORITY came with 4 bytes$/],
      [FRAME.goAway, 7, /^GOAWAY came with 7 bytes$/],
    ];
    for (const [type, length, sentence] of wrong)
      refused(
        'server',
        [OK],
        frame(type, 0, 1, Buffer.alloc(length)),
        'FRAME_SIZE_ERROR',
        sentence,
      );
  });

  it('promise nothing: push is switched off at a client, and a server gets none (section 8.4)', () => {
    const promise = frame(
      FRAME.pushPromise,
      FLAG.endHeaders,
      1,
      Buffer.concat([u32(2), Buffer.alloc(4)]),
    );
    for (const role of ROLES) refused(role, [OK], promise, 'PROTOCOL_ERROR', /a push was promised/);
  });
});

describe('the stream', () => {
  it('is the only one: a second is refused', () => {
    const second = frame(FRAME.headers, FLAG.endHeaders, 3, headerField('a', 'b'));
    for (const role of ROLES)
      for (const before of [[], [OK]])
        refused(
          role,
          before,
          second,
          'REFUSED_STREAM',
          /stream 3 was opened; this connection has stream 1 only/,
        );
    const even = frame(FRAME.headers, FLAG.endHeaders, 2, headerField('a', 'b'));
    refused('client', [], even, 'REFUSED_STREAM', /stream 2/);
    const none = frame(FRAME.headers, FLAG.endHeaders, 0, headerField('a', 'b'));
    refused('server', [], none, 'REFUSED_STREAM', /stream 0/);
  });

  it('takes data behind its headers only, and not behind its end (section 5.1)', () => {
    for (const role of ROLES) {
      for (const before of [[], [headers({ ':status': '200' }, LAST)], [OK, data('', LAST)]])
        refused(
          role,
          before,
          data('x'),
          'STREAM_CLOSED',
          /DATA came for stream 1, which takes none/,
        );
      const other = frame(FRAME.data, 0, 3, Buffer.from('x'));
      refused(role, [OK], other, 'STREAM_CLOSED', /stream 3/);
    }
    const informed = headers({ ':status': '103' });
    refused('client', [informed], data('x'), 'STREAM_CLOSED', /takes none/);
  });

  it('has headers once, and trailers once', () => {
    for (const role of ROLES) {
      refused(role, [OK], OK, 'PROTOCOL_ERROR', /^headers came twice$/);
      const ends = [
        [headers({ ':status': '200' }, LAST)],
        [OK, data('', LAST)],
        [OK, headers({}, LAST)],
      ];
      for (const before of ends)
        refused(
          role,
          before,
          headers({ a: 'b' }, LAST),
          'STREAM_CLOSED',
          /behind the end of the stream/,
        );
    }
  });

  it('has no answers 1xx at a server', () => {
    const informed = headers({ ':status': '103' });
    refused('server', [informed], OK, 'PROTOCOL_ERROR', /headers came twice/);
  });

  it('is reset only when it is there (section 6.4)', () => {
    refused('server', [], reset(8), 'PROTOCOL_ERROR', /stream 1 was reset, which is not there/);
    for (const role of ROLES) {
      refused(role, [OK], reset(8, 3), 'PROTOCOL_ERROR', /stream 3 was reset/);
      refused(role, [OK], reset(8, 0), 'PROTOCOL_ERROR', /stream 0 was reset/);
    }
  });
});

describe('a header block in pieces (section 6.10)', () => {
  const block = headerField('a', 'b');
  const open = frame(FRAME.headers, 0, 1, block);

  it('lets nothing come between them', () => {
    const between = [settings(), SETTINGS_ACK, ping('12345678'), data('x'), OK, windowUpdate(0, 1)];
    between.push(reset(8), goAway(0, 0), frame(0x77, 0, 1, Buffer.alloc(3)));
    for (const role of ROLES)
      for (const other of between)
        refused(role, [open], other, 'PROTOCOL_ERROR', /a frame of type \d+ in the wrong place/);
  });

  it('goes on in its own stream', () => {
    const elsewhere = frame(FRAME.continuation, FLAG.endHeaders, 3, block);
    refused('server', [open], elsewhere, 'REFUSED_STREAM', /stream 3/);
  });

  it('begins with HEADERS', () => {
    const alone = frame(FRAME.continuation, FLAG.endHeaders, 1, block);
    for (const before of [[], [OK]])
      refused('server', before, alone, 'PROTOCOL_ERROR', /of type 9 in the wrong place/);
  });

  it('has an end', () => {
    const empty = frame(FRAME.continuation, 0, 1, Buffer.alloc(0));
    const fifteen = Array.from({ length: 15 }, () => empty);
    refused('server', [open, ...fifteen], empty, 'ENHANCE_YOUR_CALM', /of 17 pieces/);
    const long = frame(FRAME.headers, 0, 1, pattern(16_384));
    const more = frame(FRAME.continuation, 0, 1, Buffer.from('x'));
    refused('server', [long], more, 'ENHANCE_YOUR_CALM', /has 16385 bytes and no end/);
  });

  it('is HPACK, of no more fields than are taken', () => {
    const noise = frame(FRAME.headers, FLAG.endHeaders, 1, Buffer.from([0xff, 0xff]));
    refused('server', [], noise, 'COMPRESSION_ERROR', /a header block/);
    const field = headerField('a', 'x'.repeat(126));
    const many = (count: number): Buffer =>
      frame(
        FRAME.headers,
        FLAG.endHeaders,
        1,
        Buffer.concat(Array.from({ length: count }, () => field)),
      );
    const fits = Math.floor(16_384 / (1 + 126 + 32));
    HeardStream.begun('server').receive(many(fits));
    refused('server', [], many(fits + 1), 'ENHANCE_YOUR_CALM', /header/);
  });

  it('is shorter than its frame if it is padded', () => {
    const padded = frame(FRAME.headers, FLAG.endHeaders | FLAG.padded, 1, Buffer.from([2, 0]));
    refused('server', [], padded, 'PROTOCOL_ERROR', /shorter than its padding/);
  });
});

describe('what was begun', () => {
  it('is not told if the rest of it is refused', () => {
    const stream = new HeardStream('server').receive(firstBytes('server'));
    assert.throws(() => stream.receive(Buffer.concat([OK, data('x'), OK, data('y')])));
    assert.deepEqual(stream.heard.slice(2), ['headers :status=200', 'data']);
    assert.equal(String(Buffer.concat(stream.data)), 'x');
  });
});
