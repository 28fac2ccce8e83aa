/**
 * No file may import itself over others, also not for its types only: files in a circle can be
 * understood and tested only all together.
 */
import { importsInTree } from './import-graph.mjs';

export function checkImportCycles(tree) {
  const done = new Set();
  const findings = [];
  for (const file of tree.files) walk(file.path, []);
  return findings;

  function walk(path, way) {
    const start = way.findIndex((step) => step.path === path);
    if (start >= 0) {
      const circle = way.slice(start);
      const names = [...circle.map((step) => step.path), path].join(' -> ');
      const text = `import cycle ${names}; move what both need into a file of its own`;
      findings.push({ path, line: circle[0].line, text });
      return;
    }
    if (done.has(path)) return;
    const file = tree.byPath.get(path);
    if (file !== undefined) {
      for (const next of importsInTree(tree, file)) {
        walk(next.path, [...way, { path, line: next.line }]);
      }
    }
    done.add(path);
  }
}
