/**
 * Another implementation on the other side: nghttp2, which is in Node. What it writes with Huffman code and its
 * dynamic table we read, and what we write it reads. No sockets: its bytes are taken from, and given to, a stream.
 */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { Duplex } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { HeaderDecoder } from '#daemon/http2/header-decoding.js';
import { encodeHeaders } from '#daemon/http2/header-encoding.js';
import type { HeaderField } from '#daemon/http2/header-field.js';
import { remembered } from '#test/support/header-refusal.js';
import { CLIENT_PREFACE, FLAG, FRAME, frame, framesOf } from '#test/support/http2-frames.js';

const END_STREAM = 1;
const HEADER_TABLE_SIZE = 1;
/** Before its first frame: "PRI * HTTP/2.0", two line ends, "SM", two line ends. */
const MAGIC_BYTES = 24;

/** One end of a connection whose other end is a test. */
class Wire extends Duplex {
  received = Buffer.alloc(0);
  #arrived: () => void = () => {};

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.received = Buffer.concat([this.received, chunk]);
    done();
    this.#arrived();
  }

  /** @returns the blocks of the HEADERS frames behind the first `skipBytes`, once there are so many */
  async blocks(count: number, skipBytes: number): Promise<Buffer[]> {
    for (;;) {
      const blocks = framesOf(this.received.subarray(skipBytes))
        .filter(({ type }) => type === FRAME.headers)
        .map(({ payload }) => payload);
      if (blocks.length >= count) return blocks;
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }
}

function settings(tableBytes: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(HEADER_TABLE_SIZE, 0);
  payload.writeUInt32BE(tableBytes, 2);
  return frame(FRAME.settings, 0, 0, payload);
}

function connect(
  t: TestContext,
  tableBytes: number,
): { wire: Wire; client: http2.ClientHttp2Session } {
  const wire = new Wire();
  const client = http2.connect('http://node-1', { createConnection: () => wire });
  t.after(() => {
    client.destroy();
  });
  wire.push(settings(tableBytes));
  return { wire, client };
}

/** Twelve lists that come again, from the table, and then so many others that they are forgotten. */
function requestFields(index: number): HeaderField[] {
  const variety = index < 40 ? index % 12 : index;
  const printable = Array.from({ length: 95 }, (_, at) => String.fromCharCode(32 + at)).join('');
  return [
    [':method', index % 2 === 0 ? 'GET' : 'PATCH'],
    [':authority', 'node-1'],
    [':scheme', 'http'],
    [':path', `/blkferry/${variety}`],
    ['content-type', 'application/grpc'],
    [`x-${variety % 7}`, `${printable.slice(variety)}|`.trim().repeat(1 + (variety % 4))],
    ['cookie', `secret-${index}`],
  ];
}

describe('what nghttp2 writes', () => {
  for (const tableBytes of [4096, 65_536, 256, 0]) {
    it(`is read, with a table of ${tableBytes} bytes`, async (t) => {
      const { wire, client } = connect(t, tableBytes);
      const decoder = new HeaderDecoder({ tableBytesMax: tableBytes, listBytesMax: 16_384 });
      const lists = Array.from({ length: 60 }, (_, index) => requestFields(index));
      await new Promise((resolve) => client.once('remoteSettings', resolve));
      for (const fields of lists) {
        const request = client.request(
          { ...Object.fromEntries(fields), [http2.sensitiveHeaders]: ['cookie'] },
          { endStream: true },
        );
        request.on('error', () => {});
      }
      const blocks = await wire.blocks(lists.length, MAGIC_BYTES);
      assert.deepEqual(
        blocks.map((block) => decoder.decode(block)),
        lists,
      );
      assert.equal(remembered(decoder).length > 0, tableBytes > 0);
    });
  }
});

describe('what we write', () => {
  it('is read by nghttp2', async (t) => {
    const wire = new Wire();
    const server = http2.createServer();
    const lists: [string, string | string[] | undefined][][] = [];
    const all = new Promise<void>((resolve) => {
      server.on('stream', (stream, headers) => {
        lists.push(Object.entries(headers));
        stream.on('error', () => {});
        if (lists.length === 20) resolve();
      });
    });
    t.after(() => {
      wire.destroy();
    });
    server.emit('connection', wire);
    const expected = Array.from({ length: 20 }, (_, index) => requestFields(index));
    wire.push(CLIENT_PREFACE);
    for (const [index, fields] of expected.entries())
      wire.push(
        frame(FRAME.headers, FLAG.endHeaders | END_STREAM, 2 * index + 1, encodeHeaders(fields)),
      );
    await all;
    assert.deepEqual(lists, expected);
  });
});
