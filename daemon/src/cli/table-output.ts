/**
 * What people read: tables without lines, lists of named values, and the words for sizes and times.
 * On a terminal a table fits its width, long names wrapped and nothing cut off; into a pipe it is as
 * wide as it must be, one row a line.
 */
import Table from 'cli-table3';

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  /** Numbers and sizes stand at the right. */
  readonly right?: boolean;
  /** A sentence: wrapped between words. */
  readonly words?: boolean;
}

/** Between two columns. */
const GAP = 2;
/** Columns are wrapped, widest first, but not below this. */
const WIDTH_MIN = 8;

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** @param columnsMax width of the terminal; undefined for no limit */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  columnsMax: number | undefined,
): string {
  const titles = columns.map((column) => column.title);
  const cells = rows.map((row) => columns.map((column) => printable(column.value(row))));
  const widths = fitWidths(titles, cells, columnsMax ?? Number.MAX_SAFE_INTEGER);
  const table = new Table({
    chars: NO_LINES,
    style: { 'padding-left': 0, 'padding-right': GAP, head: [], border: [] },
    head: titles,
    colAligns: columns.map((column) => (column.right === true ? 'right' : 'left')),
    colWidths: widths.map((width) => width + GAP),
    wordWrap: true,
    wrapOnWordBoundary: false,
  });
  for (const row of cells) {
    table.push(
      row.map((content, index) => ({
        content,
        // A word longer than the column would be cut off rather than wrapped.
        wrapOnWordBoundary:
          columns[index]?.words === true && longestWord(content) <= (widths[index] ?? 0),
      })),
    );
  }
  return trimLines(table.toString());
}

/** Names and values under each other; a value of several lines stays in its column. */
export function renderFields(fields: readonly (readonly [string, string])[]): string {
  const nameWidth = Math.max(...fields.map(([name]) => name.length)) + GAP;
  const lines: string[] = [];
  for (const [name, value] of fields) {
    const [first = '', ...others] = value.split('\n').map(printable);
    lines.push(`${name.padEnd(nameWidth)}${first}`.trimEnd());
    for (const other of others) lines.push(`${' '.repeat(nameWidth)}${other}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Text of a peer must not steer the terminal: control characters become question marks. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '?');
}

/** Each column as wide as its widest cell, then the widest ones narrower until the table fits. */
function fitWidths(
  titles: readonly string[],
  cells: readonly (readonly string[])[],
  columnsMax: number,
): number[] {
  const widths = titles.map((title, index) =>
    Math.max(title.length, ...cells.map((row) => row[index]?.length ?? 0)),
  );
  const leastWidths = titles.map((title) => Math.max(title.length, WIDTH_MIN));
  let excess =
    widths.reduce((sum, width) => sum + width, 0) + GAP * (titles.length - 1) - columnsMax;
  while (excess > 0) {
    let widest = -1;
    for (let index = 0; index < widths.length; index += 1) {
      const width = widths[index] ?? 0;
      if (width > (leastWidths[index] ?? 0) && width > (widths[widest] ?? 0)) widest = index;
    }
    const width = widths[widest];
    // Every column is at its least: a terminal this narrow wraps the lines itself.
    if (width === undefined) return widths;
    widths[widest] = width - 1;
    excess -= 1;
  }
  return widths;
}

function longestWord(text: string): number {
  return Math.max(...text.split(/\s+/).map((word) => word.length));
}

function trimLines(text: string): string {
  const lines = text.split('\n').map((line) => line.trimEnd());
  return `${lines.join('\n')}\n`;
}
