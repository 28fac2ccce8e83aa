/**
 * The tables and limits that the checks of tidy enforce. An exception is written here, with its reason,
 * and nowhere else. ARCHITECTURE.md tells the same import table in words.
 */

/**
 * Room -> rooms it may import. The data flows frontend -> volume -> transport -> storage-node; imports
 * follow it, and never point back.
 */
export const ROOM_IMPORTS = {
  'nbd-server-helpers': [],
  'blkferry-kernel': [],
  block: [],
  http2: [],
  runtime: ['block', 'blkferry-kernel'],
  security: ['runtime'],
  config: ['rpc', 'block', 'runtime'],
  rpc: ['http2', 'security', 'block', 'runtime'],
  threads: ['rpc', 'block'],
  transport: ['rpc', 'security', 'block', 'runtime'],
  volume: ['transport', 'rpc', 'block', 'runtime'],
  frontend: ['volume', 'nbd-server-helpers', 'blkferry-kernel', 'security', 'block', 'runtime'],
  'storage-node': [
    ...['rpc', 'config', 'security', 'nbd-server-helpers', 'blkferry-kernel'],
    ...['threads', 'block', 'runtime'],
  ],
  admin: ['volume', 'frontend', 'transport', 'rpc', 'config', 'security', 'block', 'runtime'],
  workers: [
    ...['admin', 'frontend', 'volume', 'transport', 'rpc', 'config', 'security'],
    ...['threads', 'block', 'runtime'],
  ],
  cli: [
    ...['transport', 'rpc', 'config', 'security', 'nbd-server-helpers', 'blkferry-kernel'],
    ...['block', 'runtime'],
  ],
  bin: [
    ...[
      'nbd-server-helpers',
      'frontend',
      'volume',
      'transport',
      'storage-node',
      'admin',
      'workers',
    ],
    ...['cli', 'rpc', 'http2', 'config', 'security', 'runtime', 'block'],
  ],
};

/**
 * Where a room may see only some files of another: the core knows the interface of a storage client and
 * the words of the protocol, never gRPC; the settings know how a node's address is written.
 */
export const NARROW_IMPORTS = {
  config: {
    rpc: ['node-address.ts'],
  },
  threads: {
    rpc: ['storage-error.ts'],
  },
  volume: {
    transport: ['storage-client.ts'],
    rpc: ['storage-messages.ts', 'storage-error.ts'],
  },
};

/** Packages that only these rooms may import: the core and the protocol stay free of the network. */
export const PACKAGE_ROOMS = {
  '@grpc/grpc-js': ['rpc', 'transport', 'storage-node', 'admin', 'cli', 'bin'],
  '@grpc/reflection': ['rpc', 'admin', 'storage-node'],
  'grpc-health-check': ['rpc', 'admin', 'storage-node', 'cli'],
  protobufjs: ['rpc'],
  long: ['rpc'],
  bunyan: ['runtime'],
  commander: ['cli', 'bin', 'config'],
  'smol-toml': ['config'],
  'cli-table3': ['cli'],
  'cli-progress': ['cli'],
};

/** Packages that are needed without being imported by a source file. */
export const PACKAGES_USED_OTHERWISE = {
  'node-api-headers': 'kmod/Makefile compiles against its headers',
  c8: 'scripts/dev/run-tests.mjs starts it',
  eslint: 'command',
  prettier: 'command',
  typescript: 'command',
};

/** A file longer than this has a second noun in it. */
export const FILE_LINES_MAX = 300;
/** No reason is good enough for more. Tests, which are lists of sentences, may use this length. */
export const FILE_LINES_HARD_MAX = 400;
/** Half of the product's files must be shorter than this. */
export const FILE_LINES_MEDIAN_MAX = 150;
/** A function that fits on a screen. */
export const FUNCTION_LINES_MAX = 70;

/** Files above FILE_LINES_MAX, with the reason why they are not cut. */
export const LONG_FILES = {
  'proto/blkferry/storage/v1/storage.proto':
    'one contract is one file; most of it is its reference manual',
};

/** File and folder names that say nothing about what is inside. */
export const EMPTY_NAMES = [
  'util',
  'utils',
  'helper',
  'helpers',
  'common',
  'types',
  'misc',
  'index',
];

/** The doors of packages are called index by the custom of npm. */
export const PACKAGE_DOORS = [
  'daemon/nbd-server-helpers/src/index.ts',
  'kmod/addon/index.js',
  'kmod/addon/index.d.ts',
];

/** Product files that only tests use, with the reason. */
export const TEST_ONLY_FILES = {};

/** Folders that need a README of their own beside the rooms of daemon/src. */
export const README_FOLDERS = [
  'daemon',
  'daemon/nbd-server-helpers',
  'kmod',
  'proto',
  'scripts',
  'test',
];
