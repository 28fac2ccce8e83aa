/** Goal: what people read fits their terminal, loses nothing, and cannot steer it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { printable, renderFields, renderTable, type Column } from '#daemon/cli/table-output.js';
import { widthOf } from './fake-surroundings.js';

const COLUMNS: readonly Column<readonly [string, string, string]>[] = [
  { title: 'NAME', value: (row) => row[0] },
  { title: 'SIZE', value: (row) => row[1], right: true },
  { title: 'REASON', value: (row) => row[2], words: true },
];

describe('renderTable', () => {
  it('has no lines and no blanks at the ends of lines', () => {
    const text = renderTable(
      COLUMNS,
      [
        ['a', '10', ''],
        ['bcd', '5', 'yes'],
      ],
      80,
    );
    assert.equal(text, 'NAME  SIZE  REASON\na       10\nbcd      5  yes\n');
  });

  it('wraps sentences between words and names anywhere, and cuts nothing off', () => {
    const name = 'n'.repeat(30);
    const reason = 'because the node is away and nobody knows when it will be back again';
    const text = renderTable(COLUMNS, [[name, '1', reason]], 40);
    assert.ok(widthOf(text) <= 40, text);
    assert.equal((text.match(/^n+/gm) ?? []).join(''), name);
    const words = reason.split(' ');
    for (const word of words) assert.match(text, new RegExp(`\\b${word}\\b`));
  });

  it('keeps a word that is longer than its column', () => {
    const text = renderTable(COLUMNS, [['a', '1', 'x'.repeat(50)]], 40);
    assert.equal(text.replaceAll(/[^x]/g, '').length, 50);
    assert.ok(widthOf(text) <= 40, text);
  });

  it('is as wide as it must be without a limit', () => {
    const text = renderTable(COLUMNS, [['a', '1', 'y '.repeat(200).trim()]], undefined);
    assert.equal(text.split('\n').length, 3);
  });
});

describe('renderFields', () => {
  it('puts several lines of a value under each other', () => {
    assert.equal(
      renderFields([
        ['a', 'b\nc'],
        ['long', ''],
      ]),
      'a     b\n      c\nlong\n',
    );
  });
});

describe('printable', () => {
  it('replaces control and format characters', () => {
    assert.equal(printable('a\u001b[31m\u0007\n\u202eb'), 'a?[31m???b');
    assert.equal(printable('größe 1 × 2'), 'größe 1 × 2');
  });
});
