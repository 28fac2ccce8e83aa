/**
 * Strings in Huffman code (RFC 7541, 5.2) back into text, four bits at a time. The code's tree becomes a table once:
 * for each place in the tree and each four bits, where they lead and which symbol they complete. No code is shorter
 * than five bits, so it is one at most.
 */
import { Http2Error } from './http2-error.js';
import { EOS, huffmanCodes } from './huffman-code.js';

/** Inner nodes of a binary tree with 257 leaves; number 0 is the root. */
const NODES = 256;
const STEP_BITS = 4;
const STEPS = 1 << STEP_BITS;
const SHORTEST_CODE_BITS = 5;
/** RFC 7541, 5.2: more would be an octet for nothing. */
const PADDING_BITS_MAX = 7;

/** An entry of the table: the node in the lowest eight bits, above it the symbol, above that whether there is one. */
const SYMBOL_SHIFT = 8;
const HAS_SYMBOL = 1 << 16;
/** The four bits complete EOS, which no string may contain. */
const ENDS_IN_EOS = -1;

/** Of each node its two branches: an inner node, or a symbol as -1 - symbol. */
const TREE = codeTree();
const TABLE = stepTable();
/** Nodes at which a string may end: what led there is padding, the first bits of EOS, which are ones. */
const PADDING_NODES = paddingNodes();

/**
 * @param bytes from `start` to before `end`, both inside, are the coded string
 * @returns the text as latin1, at most 8/5 as long
 * @throws Http2Error COMPRESSION_ERROR for EOS in it, and for padding that is too long or not all ones
 */
export function decodeHuffman(bytes: Buffer, start: number, end: number): string {
  const text = Buffer.allocUnsafe(Math.floor(((end - start) * 8) / SHORTEST_CODE_BITS));
  let length = 0;
  let node = 0;
  for (let at = start * 2; at < end * 2; at += 1) {
    const byte = bytes[at >>> 1] ?? 0;
    const step = (at & 1) === 0 ? byte >>> STEP_BITS : byte & (STEPS - 1);
    const entry = TABLE[node * STEPS + step] ?? ENDS_IN_EOS;
    if (entry === ENDS_IN_EOS) throw broken('contains the symbol for its end');
    if (entry >= HAS_SYMBOL) {
      text[length] = (entry >>> SYMBOL_SHIFT) & 0xff;
      length += 1;
    }
    node = entry & (NODES - 1);
  }
  if (!PADDING_NODES.has(node)) throw broken('ends with padding that is too long or not all ones');
  return text.toString('latin1', 0, length);
}

function broken(how: string): Http2Error {
  return new Http2Error('COMPRESSION_ERROR', `a string in Huffman code ${how}`);
}

function codeTree(): Int16Array {
  const tree = new Int16Array(NODES * 2);
  let nodes = 1;
  for (const { symbol, code, bits } of huffmanCodes()) {
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit -= 1) {
      const branch = node * 2 + ((code >>> bit) & 1);
      // No branch leads back to the root, so 0 is one that is still missing.
      if (tree[branch] === 0) {
        tree[branch] = nodes;
        nodes += 1;
      }
      node = tree[branch] ?? 0;
    }
    tree[node * 2 + (code & 1)] = -1 - symbol;
  }
  return tree;
}

function stepTable(): Int32Array {
  return Int32Array.from({ length: NODES * STEPS }, (_, place) =>
    stepFrom(Math.floor(place / STEPS), place % STEPS),
  );
}

function stepFrom(start: number, step: number): number {
  let node = start;
  let found = 0;
  for (let bit = STEP_BITS - 1; bit >= 0; bit -= 1) {
    node = TREE[node * 2 + ((step >>> bit) & 1)] ?? 0;
    if (node >= 0) continue;
    const symbol = -1 - node;
    if (symbol === EOS) return ENDS_IN_EOS;
    found = HAS_SYMBOL | (symbol << SYMBOL_SHIFT);
    node = 0;
  }
  return found | node;
}

function paddingNodes(): ReadonlySet<number> {
  const nodes = new Set([0]);
  let node = 0;
  for (let bits = 1; bits <= PADDING_BITS_MAX; bits += 1) {
    node = TREE[node * 2 + 1] ?? 0;
    nodes.add(node);
  }
  return nodes;
}
