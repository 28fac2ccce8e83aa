/** The appendices of RFC 7541 as values: test/golden/hpack-rfc7541.txt, which says what its lines mean. */
import { readFileSync } from 'node:fs';

export type Field = readonly [name: string, value: string];

/** One of appendix C. */
export interface HpackExample {
  /** As in `3.1`: those with the same number in front follow each other on one connection. */
  readonly section: string;
  readonly block: Buffer;
  readonly fields: readonly Field[];
  /** The dynamic table after it, the newest entry first, and its size. */
  readonly entries: readonly Field[];
  readonly tableBytes: number;
}

const LINES = readFileSync(new URL('../../golden/hpack-rfc7541.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));

/** Appendix A, index 1 first. */
export const STATIC_TABLE: readonly Field[] = contents(LINES, 'A').map((line) =>
  toField(line.replace(/^\d+ /, '')),
);

/** Appendix B: the code of each octet and of EOS (256) as ones and zeros. */
export const HUFFMAN_BITS: readonly string[] = contents(LINES, 'B').map((line) =>
  line.replace(/^\d+ /, ''),
);

export const EXAMPLES: readonly HpackExample[] = LINES.flatMap((line, index) => {
  if (!line.startsWith('C ')) return [];
  const rest = LINES.slice(index + 1);
  const next = rest.findIndex((one) => one.startsWith('C '));
  const lines = next < 0 ? rest : rest.slice(0, next);
  return [
    {
      section: line.slice(2),
      block: Buffer.from(contents(lines, 'block').join('').replaceAll(' ', ''), 'hex'),
      fields: contents(lines, 'field').map(toField),
      entries: contents(lines, 'entry').map(toField),
      tableBytes: Number(contents(lines, 'size')[0]),
    },
  ];
});

function contents(lines: readonly string[], word: string): string[] {
  return lines
    .filter((line) => line.startsWith(`${word} `))
    .map((line) => line.slice(word.length + 1));
}

/** `name: value`; the colon of a pseudo-header is not the one that ends a name. */
function toField(line: string): Field {
  const end = line.indexOf(':', 1);
  return [line.slice(0, end), line.slice(end + 2)];
}
