/** Settings: where they come from, and every way to get one wrong. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'smol-toml';
import { ConfigError } from '#daemon/config/config-error.js';
import {
  DAEMON_SETTINGS,
  readDaemonConfig,
  type DaemonConfig,
} from '#daemon/config/daemon-config.js';
import { NODE_SETTINGS, readNodeConfig } from '#daemon/config/node-config.js';
import { printConfig } from '#daemon/config/print-config.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const folder = temporaryFolder();
const NOTHING = { file: undefined, environment: {}, flags: {} };
let files = 0;

function fileWith(toml: string): string {
  files += 1;
  const file = path.join(folder, `${files}.toml`);
  fs.writeFileSync(file, toml);
  return file;
}

function fromFile(toml: string): DaemonConfig {
  return readDaemonConfig({ ...NOTHING, file: fileWith(toml) });
}

function problemsOf(toml: string): readonly string[] {
  try {
    fromFile(toml);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  throw new Error('it was accepted');
}

describe('readDaemonConfig', () => {
  it('has a default for everything', () => {
    const config = readDaemonConfig(NOTHING);
    assert.equal(config.node, '127.0.0.1:7600');
    assert.deepEqual(config['nbd.tcp'], []);
    assert.equal(config.io_hold_timeout, 120_000);
  });

  it('takes the file over the defaults, the environment over the file, flags over all', () => {
    const file = fileWith(
      'queue_depth = 1\nprobe_timeout = "1500ms"\n[nbd]\nconnections_max = 5\nhandshake_timeout = "1s"\n',
    );
    const config = readDaemonConfig({
      file,
      environment: { BLKFERRY_QUEUE_DEPTH: '2', BLKFERRY_NBD_CONNECTIONS_MAX: '6' },
      flags: { queue_depth: '3', node: undefined },
    });
    assert.equal(config.queue_depth, 3);
    assert.equal(config['nbd.connections_max'], 6);
    assert.equal(config['nbd.handshake_timeout'], 1000);
    assert.equal(config.probe_timeout, 1500);
  });

  it('reads lists from TOML and, with commas, from the environment', () => {
    assert.deepEqual(fromFile('[nbd]\ntcp = ["127.0.0.1:1", "[::1]:2"]')['nbd.tcp'], [
      '127.0.0.1:1',
      '[::1]:2',
    ]);
    const fromEnvironment = readDaemonConfig({
      ...NOTHING,
      environment: { BLKFERRY_NBD_TCP: '127.0.0.1:1,localhost:2' },
    });
    assert.deepEqual(fromEnvironment['nbd.tcp'], ['127.0.0.1:1', 'localhost:2']);
  });

  it('knows never', () => {
    assert.equal(fromFile('io_hold_timeout = "never"').io_hold_timeout, Infinity);
  });

  const refusals: [string, string, RegExp][] = [
    [
      'an unknown key, with the near one',
      'queue_dept = 3',
      /^queue_dept \(.*toml\): there is no such setting; did you mean queue_depth\?/,
    ],
    [
      'a value below the range',
      'queue_depth = 0',
      /^queue_depth \(.*\): must be a whole number from 1 to 16384/,
    ],
    ['a value above the range', 'queue_depth = 16385', /whole number from 1 to 16384/],
    ['a fraction', 'queue_depth = 1.5', /whole number/],
    ['a time without its unit', 'rpc_timeout = 5', /"5" is not a time with its unit/],
    ['a size that is none', 'in_flight_bytes_max = "lots"', /"lots" is not a size/],
    ['an address without a port', 'node = "storage"', /storage is not an address; write host:port/],
    ['a flag that is not one', 'insecure = "yes"', /must be true or false/],
    [
      'a choice that there is not',
      '[log]\nlevel = "loud"',
      /"loud" is not one of trace, debug, info, warn, error/,
    ],
    ['broken TOML', 'node = ', /cannot be read: /],
    [
      'an address beyond this machine',
      'node = "10.0.0.1:7600"',
      /node: 10.0.0.1:7600 is another machine.*insecure = true/,
    ],
    [
      'an NBD address beyond this machine',
      '[nbd]\ntcp = ["0.0.0.0:10809"]',
      /nbd.tcp: 0.0.0.0:10809 is reachable from other machines.*insecure = true/,
    ],
    [
      'limits that do not nest',
      'rpc_timeout = "3min"',
      /rpc_timeout \(180000 ms\) must be shorter than io_hold_timeout \(120000 ms\)/,
    ],
    [
      'a probe that comes too late',
      'probe_interval = "5s"',
      /probe_interval \(5000 ms\) must be shorter than probe_timeout/,
    ],
  ];
  for (const [what, toml, sentence] of refusals) {
    it(`refuses ${what}`, () => {
      assert.match(problemsOf(toml)[0] ?? '', sentence);
    });
  }

  it('reports everything that is wrong at once', () => {
    assert.equal(problemsOf('queue_depth = 0\nrpc_timeout = 5\nnonsense = 1').length, 3);
  });

  it('names a file that is not there', () => {
    assert.throws(
      () => readDaemonConfig({ ...NOTHING, file: '/no/such.toml' }),
      /\/no\/such.toml cannot be read: ENOENT/,
    );
  });
});

describe('readNodeConfig', () => {
  it('does not listen beyond this machine by itself', () => {
    const flags = { listen: '0.0.0.0:7600' };
    assert.throws(
      () => readNodeConfig({ ...NOTHING, flags }),
      /reachable from other machines.*insecure = true/,
    );
    assert.equal(
      readNodeConfig({ ...NOTHING, flags: { ...flags, insecure: true } }).listen,
      '0.0.0.0:7600',
    );
  });

  it('does not let a session be smaller than the longest request', () => {
    const environment = { BLKFERRY_SESSION_BYTES_MAX: '1MiB' };
    assert.throws(() => readNodeConfig({ ...NOTHING, environment }), /session_bytes_max/);
  });
});

describe('printConfig', () => {
  it('prints a file that says what the defaults are, once it is uncommented', () => {
    for (const [program, settings, read] of [
      ['blkferryd', DAEMON_SETTINGS, readDaemonConfig],
      ['blkferry-node', NODE_SETTINGS, readNodeConfig],
    ] as const) {
      const printed = printConfig(program, settings);
      const uncommented = printed.replace(/^# ([a-z_]+ = )/gm, '$1');
      assert.ok(Object.keys(parse(uncommented)).length > 3);
      assert.deepEqual(read({ ...NOTHING, file: fileWith(uncommented) }), read(NOTHING));
      assert.ok(printed.split('\n').every((line) => line.length <= 100));
    }
  });
});
