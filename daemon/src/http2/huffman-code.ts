/**
 * The Huffman code of RFC 7541, appendix B. It is canonical: the codes of one length are consecutive numbers in the
 * order of their symbols, and the next length goes on where they ended. So the lengths say everything.
 */

/** The symbol that is no octet: it ends a string, and its first bits are the padding of the last octet. */
export const EOS = 256;

/** Bits of the code of each octet, then of EOS: the last column of the appendix. */
const CODE_BITS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
  28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
  6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6,
  7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
  23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22,
  22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22,
  23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27,
  27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25,
  24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

export interface HuffmanCode {
  /** An octet, or EOS. */
  readonly symbol: number;
  /** Its last `bits` bits are the code, the first one on the wire is the highest. */
  readonly code: number;
  readonly bits: number;
}

/** All 257, the shortest first. */
export function huffmanCodes(): HuffmanCode[] {
  const lengths = CODE_BITS.map((bits, symbol) => ({ symbol, bits }));
  lengths.sort((left, right) => left.bits - right.bits || left.symbol - right.symbol);
  let code = -1;
  let bitsBefore = 0;
  return lengths.map(({ symbol, bits }) => {
    code = (code + 1) << (bits - bitsBefore);
    bitsBefore = bits;
    return { symbol, code, bits };
  });
}
