/** All checks of tidy over one tree. */
import { checkDependencies } from './dependencies.mjs';
import { checkDocumentNames } from './document-names.mjs';
import { checkFileNames } from './file-names.mjs';
import { checkImportCycles } from './import-cycles.mjs';
import { checkImportDirection } from './import-direction.mjs';
import { checkLeftovers } from './leftovers.mjs';
import { checkLengths } from './lengths.mjs';
import { checkMachineTraces } from './machine-traces.mjs';
import { checkPromiseProofs } from './promise-proofs.mjs';
import { checkRoomReadmes } from './room-readmes.mjs';
import { checkUnusedFiles } from './unused-files.mjs';
import { readSourceTree } from './source-tree.mjs';

/** Each takes the tree and returns findings {path, line, text}. */
const CHECKS = [
  checkImportDirection,
  checkImportCycles,
  checkDependencies,
  checkUnusedFiles,
  checkRoomReadmes,
  checkDocumentNames,
  checkPromiseProofs,
  checkFileNames,
  checkLengths,
  checkLeftovers,
  checkMachineTraces,
];

/** @returns {fileCount, findings: [{path, line, text}]}, the findings in the order of their places */
export function checkTree(rootDirectory) {
  const tree = readSourceTree(rootDirectory);
  const findings = CHECKS.flatMap((check) => check(tree)).sort(inOrderOfPlace);
  return { fileCount: tree.files.length, findings };
}

function inOrderOfPlace(left, right) {
  return left.path < right.path ? -1 : left.path > right.path ? 1 : left.line - right.line;
}
