/**
 * Protobuf once more, as naively as possible: columns packed, unpacked or in pieces, in any order, with unknown fields
 * in between. Nothing here knows our layout.
 */
import { crc32c } from '@node-rs/crc32';

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return Buffer.from([...bytes, Number(rest)]);
}

export function tag(field: number, wireType: number): Buffer {
  return varint(field * 8 + wireType);
}

export function delimited(field: number, content: Buffer): Buffer {
  return Buffer.concat([tag(field, 2), varint(content.length), content]);
}

export function fixed(value: number, widthBytes: 4 | 8): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes.subarray(0, widthBytes);
}

/** How a writer may put a repeated field on the wire. */
export type Form = 'packed' | 'unpacked' | 'pieces';

export interface Column {
  readonly field: number;
  readonly widthBytes: 4 | 8;
  readonly values: readonly number[];
  readonly form: Form;
}

/** The pieces of a column; they must stay in order, but anything may come between. */
export function columnPieces({ field, widthBytes, values, form }: Column): Buffer[] {
  const wireType = widthBytes === 8 ? 1 : 5;
  const packed = (part: readonly number[]): Buffer =>
    delimited(field, Buffer.concat(part.map((value) => fixed(value, widthBytes))));
  switch (form) {
    case 'packed':
      return values.length === 0 ? [] : [packed(values)];
    case 'unpacked':
      return values.map((value) => Buffer.concat([tag(field, wireType), fixed(value, widthBytes)]));
    case 'pieces': {
      const half = Math.floor(values.length / 2);
      return [packed(values.slice(0, half)), packed(values.slice(half))];
    }
  }
}

/** Deals the sequences into one, each in its own order, as `turns` say. */
export function interleaved(sequences: Buffer[][], turns: readonly number[]): Buffer {
  const rest = sequences.map((sequence) => [...sequence]);
  const dealt: Buffer[] = [];
  for (let turn = 0; rest.some((sequence) => sequence.length > 0); turn += 1) {
    const waiting = rest.filter((sequence) => sequence.length > 0);
    const next = waiting[(turns[turn % turns.length] ?? 0) % waiting.length]?.shift();
    if (next !== undefined) dealt.push(next);
  }
  return Buffer.concat(dealt);
}

export const UNKNOWN_FIELDS = [
  Buffer.concat([tag(100, 0), varint(2 ** 40)]),
  Buffer.concat([tag(101, 1), Buffer.alloc(8, 1)]),
  Buffer.concat([tag(102, 5), Buffer.alloc(4, 2)]),
  delimited(103, Buffer.from('something of a later version')),
];

/** A frame with the checksum behind it that storage.proto wants. */
export function sealed(frame: Buffer, seal: number): Buffer {
  const checksum = (crc32c(frame) ^ seal) >>> 0;
  return Buffer.concat([frame, tag(15, 5), fixed(checksum, 4)]);
}
