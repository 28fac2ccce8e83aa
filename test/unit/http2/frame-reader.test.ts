/** Frames out of received bytes (RFC 9113, section 4): the same wherever the bytes are cut. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FrameReader, OTHER_FRAME_BYTES_MAX } from '#daemon/http2/frame-reader.js';
import { broken } from '#test/support/header-refusal.js';
import { FLAG, data, frame, paddedData, u32 } from '#test/support/http2-frames.js';
import { cuts, pattern } from '#test/support/nbd-bytes.js';

const DATA_BYTES_MAX = 20_000;

/** What a reader tells, with the pieces of data put together. */
class Heard {
  readonly told: string[] = [];
  readonly views: Buffer[] = [];
  /** Type and flags of each frame that has begun. */
  readonly heads: [number, number][] = [];
  readonly reader = new FrameReader(
    {
      begins: (type, flags) => this.heads.push([type, flags]),
      frame: (type, flags, streamId, payload) =>
        this.told.push(`frame ${type} ${flags} ${streamId} ${payload.toString('hex')}`),
      dataBegins: (streamId, lengthBytes) => this.told.push(`begins ${streamId} ${lengthBytes}`),
      data: (view) => {
        this.views.push(view);
        const last = this.told.length - 1;
        if (this.told[last]?.startsWith('data') === true) this.told[last] += view.toString('hex');
        else this.told.push(`data ${view.toString('hex')}`);
      },
      dataEnds: (isLast) => this.told.push(isLast ? 'ends, the last' : 'ends'),
    },
    DATA_BYTES_MAX,
  );

  push(...chunks: readonly Buffer[]): this {
    for (const chunk of chunks) this.reader.push(chunk);
    return this;
  }
}

describe('FrameReader', () => {
  it('tells of a frame when its head is there, before its length is judged', () => {
    const heard = new Heard();
    const tooLong = u32(OTHER_FRAME_BYTES_MAX + 1).subarray(1);
    const head = Buffer.concat([tooLong, Buffer.from([0x50, 3]), u32(0)]);
    heard.push(head.subarray(0, 8));
    assert.deepEqual(heard.heads, []);
    assert.throws(() => heard.push(head.subarray(8)), broken(/of type 80/, 'FRAME_SIZE_ERROR'));
    assert.deepEqual(heard.heads, [[0x50, 3]]);
  });

  it('gives the same frames wherever the bytes are cut', () => {
    const wire = Buffer.concat([
      frame(4, 0, 0, pattern(12)),
      data('abc'),
      frame(6, 1, 0, pattern(8)),
      frame(4, 1, 0, Buffer.alloc(0)),
      data(''),
      paddedData('def', 0),
      paddedData('ghi', 5),
      paddedData('', 4),
      frame(0xf7, 0xff, 0x7fff_ffff, Buffer.from('?')),
      data('end', FLAG.endStream),
      data('', FLAG.endStream),
    ]);
    const expected = [
      `frame 4 0 0 ${pattern(12).toString('hex')}`,
      ...['begins 1 3', 'data 616263', 'ends'],
      `frame 6 1 0 ${pattern(8).toString('hex')}`,
      'frame 4 1 0 ',
      ...['begins 1 0', 'ends'],
      ...['begins 1 4', 'data 646566', 'ends'],
      ...['begins 1 9', 'data 676869', 'ends'],
      ...['begins 1 5', 'ends'],
      'frame 247 255 2147483647 3f',
      ...['begins 1 3', 'data 656e64', 'ends, the last'],
      ...['begins 1 0', 'ends, the last'],
    ];
    assert.deepEqual(new Heard().push(wire).told, expected);
    for (const chunks of cuts(wire)) assert.deepEqual(new Heard().push(...chunks).told, expected);
  });

  it('hands data on as it comes, as views onto what was received', () => {
    const heard = new Heard();
    const wire = data(pattern(10_000));
    heard.push(wire.subarray(0, 4009));
    assert.equal(heard.told.length, 2);
    assert.equal(heard.views[0]?.length, 4000);
    heard.push(wire.subarray(4009));
    for (const view of heard.views) assert.equal(view.buffer, wire.buffer);
    assert.ok(Buffer.concat(heard.views).equals(pattern(10_000)));
  });

  it('keeps a frame that is cut, whatever becomes of the chunk it came in', () => {
    const heard = new Heard();
    const wire = frame(6, 0, 0, Buffer.from('12345678'));
    const chunk = Buffer.from(wire.subarray(0, 13));
    heard.push(chunk);
    chunk.fill(0);
    heard.push(wire.subarray(13));
    assert.deepEqual(heard.told, [`frame 6 0 0 ${Buffer.from('12345678').toString('hex')}`]);
  });

  it('leaves out the reserved bit of a stream’s number (section 4.1)', () => {
    const wire = frame(8, 0, 0, u32(1));
    wire[5] = 0x80;
    wire[8] = 1;
    assert.deepEqual(new Heard().push(wire).told, ['frame 8 0 1 00000001']);
  });

  it('takes DATA as long as was announced, and refuses a byte more with its header (section 4.2)', () => {
    const heard = new Heard().push(data(pattern(DATA_BYTES_MAX)));
    assert.equal(heard.told.at(-1), 'ends');
    const header = data(pattern(DATA_BYTES_MAX + 1)).subarray(0, 9);
    assert.throws(
      () => new Heard().push(header),
      broken(/^a frame of type 0 has 20001 bytes, at most 20000 are taken$/, 'FRAME_SIZE_ERROR'),
    );
  });

  it('takes other frames of 16 KiB, and refuses a byte more', () => {
    assert.equal(OTHER_FRAME_BYTES_MAX, 16_384);
    for (const type of [1, 4, 6, 9, 0x55]) {
      const heard = new Heard().push(frame(type, 0, 0, pattern(16_384)));
      assert.equal(heard.told.length, 1);
      assert.throws(
        () => new Heard().push(frame(type, 0, 0, pattern(16_385)).subarray(0, 9)),
        broken(/has 16385 bytes, at most 16384 are taken/, 'FRAME_SIZE_ERROR'),
      );
    }
  });

  it('takes padding up to the whole frame, and refuses it longer (section 6.1)', () => {
    const whole = frame(0, FLAG.padded, 1, Buffer.from([255, ...Buffer.alloc(255)]));
    assert.deepEqual(new Heard().push(whole).told, ['begins 1 256', 'ends']);
    const longer = frame(0, FLAG.padded, 1, Buffer.from([255, ...Buffer.alloc(254)]));
    const lonely = frame(0, FLAG.padded, 1, Buffer.from([1]));
    for (const wire of [longer, lonely])
      assert.throws(
        () => new Heard().push(wire),
        broken(/padding of a DATA frame is longer than it/, 'PROTOCOL_ERROR'),
      );
    assert.throws(
      () => new Heard().push(frame(0, FLAG.padded, 1, Buffer.alloc(0))),
      broken(/a padded DATA frame has no room for its padding/, 'FRAME_SIZE_ERROR'),
    );
  });
});
