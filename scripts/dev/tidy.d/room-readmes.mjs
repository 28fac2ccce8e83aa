/** Every room explains itself in a README of at most about a screen, since there is no folder of documents. */
import { README_FOLDERS } from './house-rules.mjs';

/** Two screens: a README that needs more describes more than one room. */
const README_LINES_MAX = 120;

export function checkRoomReadmes(tree) {
  const rooms = new Set(
    tree.files.flatMap((file) => /^daemon\/src\/[^/]+(?=\/)/.exec(file.path)?.[0] ?? []),
  );
  return [...rooms, ...README_FOLDERS].flatMap((folder) => {
    const path = `${folder}/README.md`;
    const readme = tree.byPath.get(path);
    if (readme === undefined) {
      return [{ path, line: 1, text: `is missing; say what ${folder} is for and how it is used` }];
    }
    if (readme.lines.length <= README_LINES_MAX) return [];
    const text = `has ${readme.lines.length} lines; at most ${README_LINES_MAX} belong in a README`;
    return [{ path, line: README_LINES_MAX + 1, text }];
  });
}
