/**
 * JavaScript with counters in every branch: function bodies, both sides of `if` and `?:`, loop bodies, cases,
 * `catch`, the right side of `&&`, `||` and `??`; and comparisons that tell how near they came (coverage.ts).
 * TypeScript's parser finds the places, the text between them stays as it is.
 */
import ts from 'typescript';
import { COVERAGE_GLOBAL } from './coverage.js';

export interface Instrumented {
  readonly source: string;
  /** Numbers below this are used by now. */
  readonly endBranch: number;
}

/** @param firstBranch numbers of branches begin here */
export function instrument(source: string, firstBranch: number): Instrumented {
  return new Instrumenter(source, firstBranch).run();
}

/** Text at a place, instead of so many characters there. */
interface Change {
  readonly at: number;
  readonly text: string;
  readonly insteadOf: number;
}

const SHORT_CIRCUITS: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
]);

/** Comparing with these is no step towards anything. */
const PLAIN_OPERANDS: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.NullKeyword,
  ts.SyntaxKind.TrueKeyword,
  ts.SyntaxKind.FalseKeyword,
  ts.SyntaxKind.TypeOfExpression,
]);

class Instrumenter {
  readonly #file: ts.SourceFile;
  /** Outer openings before inner ones, inner ends before outer ones: the order of the walk. */
  readonly #changes: Change[] = [];
  #branch: number;

  constructor(
    readonly source: string,
    readonly firstBranch: number,
  ) {
    this.#branch = firstBranch;
    this.#file = ts.createSourceFile('module.js', source, ts.ScriptTarget.ESNext, true);
  }

  run(): Instrumented {
    this.#visit(this.#file);
    const pieces: string[] = [];
    let done = 0;
    // Stable: changes at the same place stay in the order of the walk.
    for (const { at, text, insteadOf } of this.#changes.sort((one, two) => one.at - two.at)) {
      pieces.push(this.source.slice(done, at), text);
      done = at + insteadOf;
    }
    pieces.push(this.source.slice(done));
    // On the first line, so that lines keep their numbers in stack traces.
    const head =
      `const __cov=globalThis.${COVERAGE_GLOBAL},__n=__cov.counts;` +
      `__cov.reserve(${this.#branch});`;
    return { source: head + pieces.join(''), endBranch: this.#branch };
  }

  #visit(node: ts.Node): void {
    const start = node.getStart(this.#file);
    const isExpression = isBranchExpression(node);
    const needsBraces = isBranchStatement(node) && !ts.isBlock(node);
    if (isExpression) this.#insert(start, `(${this.#count()},`);
    else if (needsBraces) this.#insert(start, `{${this.#count()};`);
    else if (isBranchBlock(node)) this.#insert(start + 1, `${this.#count()};`);
    else if (ts.isCaseOrDefaultClause(node)) this.#insert(node.statements.pos, `${this.#count()};`);
    const equality = equalityOf(node);
    if (equality !== undefined) {
      this.#insert(start, `${equality.isNot ? '!' : ''}__cov.equal(${this.#newBranch()},`);
      this.#insert(equality.operator.getStart(this.#file), ',', 3);
    }
    ts.forEachChild(node, (child) => {
      this.#visit(child);
    });
    if (equality !== undefined) this.#insert(node.end, ')');
    if (ts.isIfStatement(node) && node.elseStatement === undefined)
      this.#insert(node.end, `else{${this.#count()};}`);
    if (isExpression) this.#insert(node.end, ')');
    else if (needsBraces) this.#insert(node.end, '}');
  }

  #newBranch(): number {
    this.#branch += 1;
    return this.#branch - 1;
  }

  #count(): string {
    return `__n[${this.#newBranch()}]++`;
  }

  #insert(at: number, text: string, insteadOf = 0): void {
    this.#changes.push({ at, text, insteadOf });
  }
}

/** An expression that is not always evaluated. */
function isBranchExpression(node: ts.Node): boolean {
  const { parent } = node as { readonly parent?: ts.Node };
  if (parent === undefined) return false;
  if (ts.isConditionalExpression(parent))
    return node === parent.whenTrue || node === parent.whenFalse;
  if (ts.isBinaryExpression(parent))
    return node === parent.right && SHORT_CIRCUITS.has(parent.operatorToken.kind);
  return ts.isArrowFunction(parent) && node === parent.body && !ts.isBlock(node);
}

/** A statement below `if`, `else` or a loop. */
function isBranchStatement(node: ts.Node): boolean {
  const { parent } = node as { readonly parent?: ts.Node };
  if (parent === undefined) return false;
  if (ts.isIfStatement(parent))
    return node === parent.thenStatement || node === parent.elseStatement;
  return ts.isIterationStatement(parent, false) && node === parent.statement;
}

/** A block that is such a statement, or a body. */
function isBranchBlock(node: ts.Node): boolean {
  return (
    ts.isBlock(node) &&
    (isBranchStatement(node) || ts.isFunctionLike(node.parent) || ts.isCatchClause(node.parent))
  );
}

function equalityOf(node: ts.Node): { operator: ts.Node; isNot: boolean } | undefined {
  if (!ts.isBinaryExpression(node)) return undefined;
  const { left, operatorToken: operator, right } = node;
  const isNot = operator.kind === ts.SyntaxKind.ExclamationEqualsEqualsToken;
  if (!isNot && operator.kind !== ts.SyntaxKind.EqualsEqualsEqualsToken) return undefined;
  return [left, right].some(isPlainOperand) ? undefined : { operator, isNot };
}

function isPlainOperand(node: ts.Expression): boolean {
  return PLAIN_OPERANDS.has(node.kind) || (ts.isIdentifier(node) && node.text === 'undefined');
}
