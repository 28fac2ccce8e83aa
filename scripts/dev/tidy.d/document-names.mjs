/** Documents that tell their story with file names name files that exist. */

/** A file name in a document: with or without folders, standing alone. A pattern (`*`, `X`) is not one. */
const FILE_NAME = /(?<![\w*<./-])(?:[\w-]+\/)*[a-z][\w.-]*\.(?:ts|mjs|proto|c|h)\b/g;

export function checkDocumentNames(tree) {
  return tree.files
    .filter(({ path }) => path.endsWith('.md') && path !== 'CHANGELOG.md')
    .flatMap((document) =>
      document.lines.flatMap((line, index) =>
        [...line.matchAll(FILE_NAME)]
          .filter(([name]) => !exists(tree, name))
          .map(([name]) => ({
            path: document.path,
            line: index + 1,
            text: `names ${name}, which is not there; correct the name or the story`,
          })),
      ),
    );
}

function exists(tree, name) {
  return tree.files.some(({ path }) => path === name || path.endsWith(`/${name}`));
}
