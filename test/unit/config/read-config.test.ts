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
import { DAEMON_LIMITS, NODE_LIMITS } from '#daemon/bin/fixed-limits.js';
import { printConfig } from '#daemon/config/print-config.js';
import { unknownVariables } from '#daemon/config/read-config.js';
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
      /^queue_depth \(.*toml\): 0 is not a whole number from 1 to 16384$/,
    ],
    ['a value above the range', 'queue_depth = 16385', /whole number from 1 to 16384/],
    ['a list where a number belongs', 'queue_depth = [1]', /^queue_depth .*: \[1\] is not a whole/],
    [
      'a key that every object has',
      'toString = 1',
      /^toString \(.*toml\): there is no such setting$/,
    ],
    [
      'a table without its setting',
      'log = "debug"',
      /^log \(.*\): there is no such setting; did you mean log\.level\?/,
    ],
    ['a fraction', 'queue_depth = 1.5', /whole number/],
    [
      'a time without its unit',
      'rpc_timeout = 5',
      /5 is not a time with its unit.*, from 100ms to 10min$/,
    ],
    ['a size that is none', 'in_flight_bytes_max = "lots"', /"lots" is not a size/],
    ['an address without a port', 'node = "storage"', /storage is not an address; write host:port/],
    ['a flag that is not one', 'insecure = "yes"', /"yes" is not true or false$/],
    [
      'a choice that there is not',
      '[log]\nlevel = "loud"',
      /"loud" is not one of trace, debug, info, warn, error/,
    ],
    ['broken TOML', 'queue_depth = 3\nnode = ', /\.toml cannot be read: line 2, column 8: /],
    [
      'an address beyond this machine',
      'node = "10.0.0.1:7600"',
      /node: 10.0.0.1:7600 is another machine.*insecure = true/,
    ],
    [
      'one address of several that is on another machine',
      'node = "127.0.0.1:7600,10.0.0.1:7600"',
      /node: 127.0.0.1:7600,10.0.0.1:7600 is another machine.*insecure = true/,
    ],
    [
      'an NBD address beyond this machine',
      '[nbd]\ntcp = ["0.0.0.0:10809"]',
      /nbd.tcp: 0.0.0.0:10809 can be reached from other machines.*insecure = true/,
    ],
    [
      'a unix socket among TCP ports',
      '[nbd]\ntcp = ["unix:/run/nbd.sock"]',
      /^nbd\.tcp .*: "unix:\/run\/nbd\.sock" is not host:port$/,
    ],
    [
      'a socket whose path the kernel would not take',
      `[nbd]\nsocket = "/${'x'.repeat(107)}"`,
      /^nbd\.socket .* is not a path of at most 107 bytes, which is what a unix socket can have$/,
    ],
    ['an empty path', 'state_directory = ""', /^state_directory .*: "" is not a path$/],
    [
      'one directory for two purposes',
      'state_directory = "/srv/x"\nruntime_directory = "/srv/x"',
      /^state_directory and runtime_directory are both \/srv\/x; they must differ/,
    ],
    [
      'one socket for two protocols',
      '[nbd]\nsocket = "/srv/x"\n[admin]\nsocket = "/srv/x"',
      /^admin\.socket and nbd\.socket are both \/srv\/x; they must differ/,
    ],
    [
      'limits that do not nest',
      'rpc_timeout = "3min"',
      /rpc_timeout \(3min\) must be shorter than io_hold_timeout \(2min\): a call must be over/,
    ],
    [
      'a probe that comes too late',
      'probe_interval = "5s"',
      /probe_interval \(5s\) must be shorter than probe_timeout/,
    ],
  ];
  for (const [what, toml, sentence] of refusals) {
    it(`refuses ${what}`, () => {
      assert.match(problemsOf(toml)[0] ?? '', sentence);
    });
  }

  it('reports everything that is wrong at once', () => {
    assert.equal(problemsOf('queue_depth = 0\nrpc_timeout = 5\nnonsense = 1').length, 3);
    const between = problemsOf('queue_depth = 0\nprobe_interval = "5s"\nnode = "10.0.0.1:1"');
    assert.deepEqual(
      between.map((sentence) => /^\w+/.exec(sentence)?.[0]),
      ['queue_depth', 'probe_interval', 'node'],
    );
    const ports = problemsOf('[nbd]\ntcp = ["one", "127.0.0.1:2", "three"]');
    assert.match(ports[0] ?? '', /"one" is not host:port; "three" is not host:port$/);
  });

  it('does not judge a setting by the default of one that cannot be used', () => {
    // With the default of io_hold_timeout, two minutes, this rpc_timeout would be too long.
    const problems = problemsOf('rpc_timeout = "3min"\nio_hold_timeout = "a day"');
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', /^io_hold_timeout /);
  });

  it('says where a wrong value was written', () => {
    const environment = { BLKFERRY_QUEUE_DEPTH: 'many' };
    assert.throws(
      () => readDaemonConfig({ ...NOTHING, environment }),
      /^ConfigError: queue_depth \(environment variable BLKFERRY_QUEUE_DEPTH\): "many" is not/,
    );
    assert.throws(
      () => readDaemonConfig({ ...NOTHING, flags: { node: 'x' } }),
      /^ConfigError: node \(the command line\): x is not an address/,
    );
  });

  it('takes loopback for what does not need insecure, and insecure for the rest', () => {
    for (const node of [
      '127.0.0.1:1',
      '127.1.2.3:1',
      'localhost:1',
      '[::1]:1',
      'unix:/x',
      'unix:/x,[::1]:1',
    ]) {
      assert.equal(readDaemonConfig({ ...NOTHING, flags: { node } }).node, node);
    }
    const flags = { node: 'storage:7600', 'nbd.tcp': '0.0.0.0:10809', insecure: true };
    assert.equal(readDaemonConfig({ ...NOTHING, flags }).node, 'storage:7600');
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

describe('unknownVariables', () => {
  it('names what looks like a setting and is none, with the near one', () => {
    const environment = {
      BLKFERRY_IO_HOLD_TIMEOT: 'never',
      BLKFERRY_LISTEN: 'x',
      BLKFERRY_NODE: 'x',
      PATH: '/bin',
    };
    assert.deepEqual(unknownVariables(environment, [DAEMON_SETTINGS, NODE_SETTINGS]), [
      'the environment variable BLKFERRY_IO_HOLD_TIMEOT is no setting; did you mean BLKFERRY_IO_HOLD_TIMEOUT?',
    ]);
  });
});

describe('printConfig', () => {
  it('prints a file that says what the defaults are, once it is uncommented', () => {
    for (const [program, settings, read] of [
      ['blkferryd', DAEMON_SETTINGS, readDaemonConfig],
      ['blkferry-node', NODE_SETTINGS, readNodeConfig],
    ] as const) {
      const limits = program === 'blkferryd' ? DAEMON_LIMITS : NODE_LIMITS;
      const printed = printConfig(program, settings, limits);
      assert.ok(printed.includes('# Most bytes of one message between daemon and node: 40MiB. '));
      const uncommented = printed.replace(/^# ([a-z_]+ = )/gm, '$1');
      assert.ok(Object.keys(parse(uncommented)).length > 3);
      assert.deepEqual(read({ ...NOTHING, file: fileWith(uncommented) }), read(NOTHING));
      assert.ok(printed.split('\n').every((line) => line.length <= 100));
    }
  });
});

describe('the untouched defaults', () => {
  it('let nothing listen beyond loopback and unix sockets', () => {
    const node = readNodeConfig(NOTHING);
    const daemon = readDaemonConfig(NOTHING);
    const places = [node.listen, ...daemon['nbd.tcp'], ...daemon['admin.tcp']];
    assert.deepEqual(places, ['127.0.0.1:7600']);
    assert.deepEqual([node.insecure, daemon.insecure], [false, false]);
  });
});

describe('settings for TLS', () => {
  const tlsFiles = { 'tls.certificate': '/c', 'tls.key': '/k', 'tls.ca': '/a' };
  const problemOf = (flags: Record<string, string | boolean>): string => {
    try {
      readNodeConfig({ ...NOTHING, flags });
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };

  it('are three files or none', () => {
    assert.match(
      problemOf({ 'tls.key': '/k', 'tls.ca': '/a' }),
      /tls\.key and tls\.ca without tls\.certificate: TLS needs all three files, or none/,
    );
    assert.match(problemOf({ 'tls.min_version': '1.1' }), /is not one of 1\.3, 1\.2/);
  });

  it('take the place of insecure for addresses beyond this machine', () => {
    const flags = { ...tlsFiles, listen: '0.0.0.0:7600', access_file: '/r' };
    assert.equal(readNodeConfig({ ...NOTHING, flags }).insecure, false);
    const node = 'storage:7600';
    assert.equal(readDaemonConfig({ ...NOTHING, flags: { ...tlsFiles, node } }).node, node);
    assert.match(
      problemOf({ listen: '0.0.0.0:7600' }),
      /^listen: 0\.0\.0\.0:7600 is reachable .* plain text; .* set tls\.certificate, tls\.key and tls\.ca, or set insecure = true/,
    );
  });

  it('are what the admin API over TCP needs, together with roles', () => {
    const problem = (flags: Record<string, string>): string => {
      try {
        readDaemonConfig({ ...NOTHING, flags });
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    };
    const port = '127.0.0.1:7700';
    assert.equal(
      problem({ 'admin.tcp': port, 'admin.access_file': '/r' }),
      'admin.tcp: 127.0.0.1:7700 would be open to everybody; set tls.certificate, tls.key and tls.ca',
    );
    assert.match(
      problem({ ...tlsFiles, 'admin.tcp': port }),
      /^admin\.tcp: nobody has a role there; name a file of rules with admin\.access_file/,
    );
    assert.match(problem({ 'admin.access_file': '/r' }), /and that is not set$/);
    assert.equal(problem({ ...tlsFiles, 'admin.tcp': port, 'admin.access_file': '/r' }), '');
  });

  it('go together with rules, where clients can be known', () => {
    assert.match(
      problemOf(tlsFiles),
      /^access_file: with tls\.certificate the node knows its clients by name, and has no file that says what each may do; write one/,
    );
    assert.match(
      problemOf({ access_file: '/r' }),
      /^access_file: its rules would count for nobody/,
    );
    assert.match(
      problemOf({ ...tlsFiles, access_file: '/r', listen: 'unix:/s' }),
      /^access_file: its rules would count for nobody/,
    );
    assert.equal(problemOf({ ...tlsFiles, listen: 'unix:/s' }), '');
  });
});
