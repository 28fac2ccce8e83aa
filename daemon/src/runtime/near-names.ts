/**
 * "Did you mean": the known names nearest to one that does not exist. Pure.
 */

/** More would be a list, not a hint. */
const NEAR_NAMES_MAX = 3;

/**
 * @returns a sentence that follows the error: the nearest names, or nothing when none is near.
 */
export function nearNamesHint(name: string, known: readonly string[]): string {
  const near = nearNames(name, known);
  return near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
}

/** The known names within a third of the name's length in edits, or that begin with it; nearest first. */
export function nearNames(name: string, known: readonly string[]): string[] {
  const editsMax = Math.max(1, Math.floor(name.length / 3));
  const wanted = name.toLowerCase();
  return known
    .map((candidate) => {
      const text = candidate.toLowerCase();
      const begins = wanted.length >= 2 && text.startsWith(wanted);
      return { candidate, edits: begins ? 0 : editCount(wanted, text) };
    })
    .filter(({ edits }) => edits <= editsMax)
    .sort((a, b) => a.edits - b.edits || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, NEAR_NAMES_MAX)
    .map(({ candidate }) => candidate);
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one text into the other. */
function editCount(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1];
      let edits = Math.min(
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + (same ? 0 : 1),
      );
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (row > 1 && column > 1 && swapped) edits = Math.min(edits, at(beforeLast, column - 2) + 1);
      current.push(edits);
    }
    beforeLast = last;
    last = current;
  }
  return at(last, to.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.MAX_SAFE_INTEGER;
}
