/**
 * package.json and the imports agree: what is imported is declared, what is declared is used, and the
 * workspaces carry the version of the whole (npm links them even where it differs).
 */
import { PACKAGES_USED_OTHERWISE } from './house-rules.mjs';
import { foreignPackage } from './import-graph.mjs';

export function checkDependencies(tree) {
  const root = tree.byPath.get('package.json');
  if (root === undefined) return [{ path: 'package.json', line: 1, text: 'is missing' }];
  const description = JSON.parse(root.text);
  const production = Object.keys(description.dependencies ?? {});
  const development = Object.keys(description.devDependencies ?? {});
  const used = new Set();
  const findings = [];
  for (const file of tree.files) {
    const isProduct = file.path.startsWith('daemon/');
    for (const { specifier, line } of file.module?.imports ?? []) {
      const name = foreignPackage(specifier);
      if (name === undefined) continue;
      used.add(name);
      const declared = isProduct ? production : [...production, ...development];
      if (declared.includes(name)) continue;
      const where = isProduct ? 'dependencies' : 'devDependencies';
      findings.push({
        path: file.path,
        line,
        text: `imports ${name}, which package.json does not name in ${where}; add it there`,
      });
    }
  }
  findings.push(...unusedPackages(root, [...production, ...development], used));
  findings.push(...otherVersions(tree, description));
  return findings;
}

function unusedPackages(root, declared, used) {
  return declared
    .filter((name) => !used.has(name) && !(name in PACKAGES_USED_OTHERWISE))
    .filter((name) => !isTypesOfUsed(name, used))
    .map((name) => ({
      path: root.path,
      line: root.lines.findIndex((line) => line.includes(`"${name}"`)) + 1,
      text: `declares ${name}, which no file imports; remove it, or say in house-rules.mjs who uses it`,
    }));
}

function isTypesOfUsed(name, used) {
  const subject = name.replace(/^@types\//, '');
  return subject !== name && (subject === 'node' || used.has(subject));
}

function otherVersions(tree, description) {
  return (description.workspaces ?? []).flatMap((folder) => {
    const path = `${folder}/package.json`;
    const file = tree.byPath.get(path);
    if (file === undefined)
      return [{ path, line: 1, text: 'is missing, but named as a workspace' }];
    const version = JSON.parse(file.text).version;
    if (version === description.version) return [];
    const line = file.lines.findIndex((text) => text.includes('"version"')) + 1;
    return [{ path, line, text: `has version ${version}; the root has ${description.version}` }];
  });
}
