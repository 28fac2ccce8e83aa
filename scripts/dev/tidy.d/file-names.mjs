/** A file is called by the noun it holds, in kebab-case; nothing is called `utils` or the like. */
import { EMPTY_NAMES, PACKAGE_DOORS } from './house-rules.mjs';

const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|config))?\.(ts|mjs|js)$/;

export function checkFileNames(tree) {
  return tree.files.flatMap(({ path, module }) => {
    if (PACKAGE_DOORS.includes(path)) return [];
    const parts = path.split('/');
    const fileName = parts[parts.length - 1];
    const names = [...parts.slice(0, -1), fileName.replace(/\..*$/, '')];
    const empty = names.find((name) => EMPTY_NAMES.includes(name));
    if (empty !== undefined) {
      return [finding(path, `"${empty}" says nothing; name it after the one thing it holds`)];
    }
    if (module !== undefined && !KEBAB_CASE.test(fileName)) {
      return [finding(path, 'the name is not in kebab-case (like-this.ts); rename it')];
    }
    return [];
  });
}

function finding(path, text) {
  return { path, line: 1, text };
}
