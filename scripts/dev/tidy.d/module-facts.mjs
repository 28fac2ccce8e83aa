/**
 * What one TypeScript or JavaScript file says about itself: what it imports, how long its functions are.
 * Uses the compiler's parser, without types; text in, values out.
 */
import ts from 'typescript';

/** @returns {imports: [{specifier, line}], functions: [{name, line, lineCount, isSuite}]} */
export function readModule(path, text) {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const imports = [];
  const functions = [];
  const lineOf = (position) => source.getLineAndCharacterOfPosition(position).line + 1;
  const visit = (node) => {
    const specifier = importedName(node);
    if (specifier !== undefined) {
      imports.push({ specifier: specifier.text, line: lineOf(specifier.getStart(source)) });
    }
    if (ts.isFunctionLike(node) && node.body !== undefined) {
      const line = lineOf(node.getStart(source));
      const lineCount = lineOf(node.getEnd()) - line + 1;
      functions.push({ name: functionName(node), line, lineCount, isSuite: isSuite(node) });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { imports, functions };
}

function importedName(node) {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    return node.argument.literal;
  }
  if (!ts.isCallExpression(node) || node.expression.kind !== ts.SyntaxKind.ImportKeyword) {
    return undefined;
  }
  const [first] = node.arguments;
  return first !== undefined && ts.isStringLiteral(first) ? first : undefined;
}

function functionName(node) {
  if (node.name !== undefined) return node.name.getText();
  if (ts.isConstructorDeclaration(node)) return 'constructor';
  const { parent } = node;
  if (ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent)) {
    return parent.name.getText();
  }
  return 'a function without a name';
}

/** A suite, or a function that builds one, is a list of tests: its length is the file's business. */
function isSuite(node) {
  const { parent } = node;
  if (ts.isCallExpression(parent) && isSuiteCall(parent)) return true;
  const statements = node.body !== undefined && ts.isBlock(node.body) ? node.body.statements : [];
  return statements.some((one) => ts.isExpressionStatement(one) && isSuiteCall(one.expression));
}

function isSuiteCall(node) {
  return ts.isCallExpression(node) && /^(describe|suite)\b/.test(node.expression.getText());
}
