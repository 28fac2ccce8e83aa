/**
 * Which file an import leads to, and which room a file stands in. Pure: works on the paths of the tree.
 */
import { dirname, join } from 'node:path';

/** Our own packages, and the file each one opens. */
const OWN_PACKAGES = {
  'nbd-server-helpers': 'daemon/nbd-server-helpers/src/index.ts',
  'blkferry-kernel': 'kmod/addon/index.js',
};

/** @returns the path an import leads to in the tree, or undefined for a package of somebody else */
export function resolveImport(tree, fromPath, specifier) {
  const own = OWN_PACKAGES[specifier];
  if (own !== undefined) return own;
  const path = specifier.startsWith('#daemon/')
    ? specifier.replace('#daemon/', 'daemon/src/')
    : specifier.startsWith('#test/')
      ? specifier.replace('#test/', 'test/')
      : specifier.startsWith('.')
        ? join(dirname(fromPath), specifier)
        : undefined;
  if (path === undefined) return undefined;
  const candidates = [path.replace(/\.js$/, '.ts'), path, path.replace(/\.js$/, '.d.ts')];
  return candidates.find((candidate) => tree.byPath.has(candidate));
}

/** @returns every import of a file that stays in the tree: [{path, line}] */
export function importsInTree(tree, file) {
  return (file.module?.imports ?? []).flatMap(({ specifier, line }) => {
    const path = resolveImport(tree, file.path, specifier);
    return path === undefined ? [] : [{ path, line }];
  });
}

/** @returns the package an import names, or undefined for a path, for Node's own and for our own */
export function foreignPackage(specifier) {
  if (/^[.#]|^node:/.test(specifier) || specifier in OWN_PACKAGES) return undefined;
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
}

/** @returns the room a product file stands in, or undefined for a test, a script, a configuration */
export function roomOf(path) {
  if (path.startsWith('daemon/nbd-server-helpers/src/')) return 'nbd-server-helpers';
  if (path.startsWith('kmod/addon/')) return 'blkferry-kernel';
  return /^daemon\/src\/([^/]+)\/./.exec(path)?.[1];
}

/** @returns the paths that can be reached from `roots` by imports, roots included */
export function reachableFrom(tree, roots) {
  const reached = new Set(roots);
  for (const path of reached) {
    const file = tree.byPath.get(path);
    if (file === undefined) continue;
    for (const next of importsInTree(tree, file)) reached.add(next.path);
  }
  return reached;
}
