/**
 * Lint rules. Layout is prettier's business; import direction between rooms, file lengths and names
 * are the business of scripts/dev/tidy.mjs. A rule is switched off here, with its reason, never in a
 * source file.
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const rootDirectory = fileURLToPath(new URL('.', import.meta.url));

/** What Node gives a plain JavaScript module; TypeScript files have the compiler for this. */
const NODE_GLOBALS = Object.fromEntries(
  [
    'AbortController',
    'AbortSignal',
    'Buffer',
    'URL',
    'clearInterval',
    'clearTimeout',
    'console',
    'performance',
    'process',
    'setImmediate',
    'setInterval',
    'setTimeout',
    'structuredClone',
  ].map((name) => [name, 'readonly']),
);

/** Mistakes that ESLint itself finds; the compiler finds more of them, in TypeScript files only. */
const CORE_RULES = [
  'no-async-promise-executor',
  'no-case-declarations',
  'no-compare-neg-zero',
  'no-cond-assign',
  'no-constant-condition',
  'no-control-regex',
  'no-debugger',
  'no-dupe-else-if',
  'no-duplicate-case',
  'no-empty',
  'no-fallthrough',
  'no-irregular-whitespace',
  'no-loss-of-precision',
  'no-misleading-character-class',
  'no-prototype-builtins',
  'no-self-assign',
  'no-self-compare',
  'no-sparse-arrays',
  'no-unsafe-finally',
  'no-unsafe-optional-chaining',
  'no-useless-catch',
  'no-useless-escape',
  'no-var',
  'object-shorthand',
  'prefer-const',
  'use-isnan',
  'valid-typeof',
];

const NO_DEFAULT_EXPORT = {
  selector: 'ExportDefaultDeclaration',
  message: 'Export it by name: a default export gets another name in every file that imports it.',
};

const NO_ENUM = {
  selector: 'TSEnumDeclaration',
  message: 'Use an `as const` object or a union of strings.',
};

/** Time and chance come in through the constructor, so that a test can decide them. */
const NO_AMBIENT_TIME = [
  ['Date', 'now'],
  ['performance', 'now'],
  ['Math', 'random'],
  ['process', 'hrtime'],
].map(([object, property]) => ({
  object,
  property,
  message: 'Take a Clock (runtime/clock.ts) or the value through the constructor.',
}));

const NO_AMBIENT_TIMERS = ['setTimeout', 'setInterval'].map((name) => ({
  name,
  message: 'Use Clock.setTimer (runtime/clock.ts), so that a test need not wait.',
}));

export default defineConfig(
  {
    // The add-on's door is a hand-written declaration: it is checked by those who import it.
    ignores: ['**/dist/', '**/build/', '**/node_modules/', 'tmp/', 'kmod/addon/index.d.ts'],
  },
  {
    linterOptions: { noInlineConfig: true },
    rules: {
      ...Object.fromEntries(CORE_RULES.map((rule) => [rule, 'error'])),
      eqeqeq: 'error',
    },
  },
  {
    files: ['**/*.mjs', '**/*.js'],
    languageOptions: { globals: NODE_GLOBALS },
    rules: { 'no-undef': 'error', 'no-unused-vars': 'error', 'no-redeclare': 'error' },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: rootDirectory },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-shadow': 'error',
      // A number in a sentence reads as itself.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // It believes that a field keeps the value it was compared with while other methods run.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // gRPC types its status codes as numbers in some places and as an enum in others.
      '@typescript-eslint/no-unsafe-enum-comparison': 'off',
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      // An interface may promise a Promise where one implementation needs no waiting.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      'no-restricted-syntax': ['error', NO_DEFAULT_EXPORT, NO_ENUM],
    },
  },
  {
    // The daemon and the node log through bunyan; the programs print through process.stdout.
    files: ['daemon/**/*.ts'],
    rules: { 'no-console': 'error' },
  },
  {
    files: [
      'daemon/nbd-server-helpers/src/**/*.ts',
      'daemon/src/{volume,transport,block,http2}/**/*.ts',
    ],
    rules: {
      'no-restricted-properties': ['error', ...NO_AMBIENT_TIME],
      'no-restricted-globals': ['error', ...NO_AMBIENT_TIMERS],
    },
  },
  {
    // gRPC takes the deadline of a unary call as a time of day; this file is that border.
    files: ['daemon/src/transport/grpc-storage-client.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: ['daemon/nbd-server-helpers/src/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              group: ['node:*', '!node:buffer', '!node:assert', '!node:assert/*'],
              message: 'The protocol is values: sockets, files and timers belong to its callers.',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // node:test waits for its own promises.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['describe', 'it', 'test', 'suite'] },
          ],
        },
      ],
      // In a test the assertion before it is the proof, and a failure of it a failed test.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Fakes implement whole interfaces, of which one test needs a part.
      '@typescript-eslint/no-empty-function': 'off',
    },
  },
);
