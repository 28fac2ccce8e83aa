/**
 * Header blocks, several behind each other in one decoder. Rules: only Http2Error with one of two codes; what
 * decodes stays within the limit of a list; and written again, without a table, it is read the same.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { HeaderDecoder } from '#daemon/http2/header-decoding.js';
import { encodeHeaders } from '#daemon/http2/header-encoding.js';
import { Http2Error } from '#daemon/http2/http2-error.js';
import { EXAMPLES } from '#test/support/hpack-appendices.js';
import { huffman, indexed, literal, plain, sizeUpdate } from '#test/support/hpack-bytes.js';
import { outcomeOf, require, type FuzzTarget } from '../fuzz-target.js';

const BYTES_MAX = 2048;
/** The first byte of an input chooses one of these. */
const LIMITS = [4096, 256, 0, 16_384].flatMap((tableBytesMax) =>
  [16_384, 400].map((listBytesMax) => ({ tableBytesMax, listBytesMax })),
);

/** Each block has its length in front, in one byte; the last may be cut. */
function blocksOf(bytes: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + (bytes[at] ?? 0);
    blocks.push(bytes.subarray(at + 1, end));
    at = end;
  }
  return blocks;
}

function execute(input: Buffer): void {
  const limits = LIMITS[(input[0] ?? 0) % LIMITS.length] ?? { tableBytesMax: 0, listBytesMax: 0 };
  const decoder = new HeaderDecoder(limits);
  for (const block of blocksOf(input.subarray(1))) {
    const fields = outcomeOf(() => decoder.decode(block), Http2Error);
    if (fields instanceof Http2Error) {
      const isKnown = fields.code === 'COMPRESSION_ERROR' || fields.code === 'ENHANCE_YOUR_CALM';
      require(isKnown, `refused as ${fields.code}: ${fields.message}`);
      // A connection ends with it. The decoder is only kept to see that it throws nothing else.
      continue;
    }
    const listBytes = fields.reduce(
      (sum, [name, value]) => sum + name.length + value.length + 32,
      0,
    );
    require(listBytes <= limits.listBytesMax, `a list of ${listBytes} bytes`);
    const again = new HeaderDecoder({ ...limits, tableBytesMax: 0 });
    deepStrictEqual(again.decode(encodeHeaders(fields)), fields);
  }
}

function seed(limits: number, ...blocks: readonly Buffer[]): Buffer {
  return Buffer.concat([
    Buffer.from([limits]),
    ...blocks.flatMap((block) => [Buffer.from([block.length]), block]),
  ]);
}

function seeds(): Buffer[] {
  const examples = ['3', '4', '5', '6'].map((group) =>
    EXAMPLES.filter(({ section }) => section.startsWith(`${group}.`)).map(({ block }) => block),
  );
  const large = literal('01', plain('a'), plain('x'.repeat(200)));
  return [
    ...examples.map((blocks, index) => seed(index < 2 ? 0 : 2, ...blocks)),
    seed(
      0,
      Buffer.concat([sizeUpdate(0), sizeUpdate(4096), large]),
      Buffer.concat([indexed(62), literal('0001', 62, huffman('secret')), indexed(62)]),
    ),
    seed(7, Buffer.concat([sizeUpdate(16_384), large]), Buffer.concat([indexed(62), indexed(62)])),
  ];
}

export const HEADER_BLOCKS: FuzzTarget = {
  name: 'header-blocks',
  bytesMax: BYTES_MAX,
  seeds,
  execute,
};
