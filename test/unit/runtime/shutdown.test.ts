/**
 * How a server ends. Goal: one ordered stop, its exit code, and the ways in which it is cut short.
 * Method: a small process of its own for each test, since signals and exit codes belong to processes.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RunningProgram } from '#test/support/program.js';

const MODULES = ['shutdown', 'crash', 'logger', 'clock'].map(
  (name) =>
    `import * as ${name} from ${JSON.stringify(import.meta.resolve(`#daemon/runtime/${name}.js`))};`,
);

interface LogRecord {
  readonly event: string;
  readonly msg: string;
  readonly error?: { readonly stack: string };
}

/** A process that logs as the servers do, and runs `body`, which prints `ready`. */
async function startProcess(body: string): Promise<RunningProgram> {
  const script = [...MODULES, "const log = logger.createLogger('test', 'info');", body].join('\n');
  const { program } = await RunningProgram.start(
    process.execPath,
    ['--input-type=module', '--eval', script],
    { readyLine: /^ready$/ },
  );
  return program;
}

/** @param stop a function's source; @param limitMs for all of it */
function startStopping(stop: string, limitMs = 20_000): Promise<RunningProgram> {
  return startProcess(`
    let stops = 0;
    shutdown.stopOnSignals({
      logger: log, clock: clock.SYSTEM_CLOCK, limitMs: ${limitMs},
      stop: async () => {
        // It listens to what it waits for before anybody hears that it was called.
        const stopped = (${stop})();
        stops += 1;
        log.info({ event: 'stop_called', stops });
        await stopped;
      },
    });
    setInterval(() => undefined, 1000);
    console.log('ready');
  `);
}

function recordsOf(program: RunningProgram): LogRecord[] {
  return program
    .stderr()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LogRecord);
}

function eventsOf(program: RunningProgram): string[] {
  return recordsOf(program).map(({ event }) => event);
}

/** Waits until the process has logged an event. */
async function whenLogged(program: RunningProgram, event: string): Promise<void> {
  while (!program.stderr().includes(`"event":"${event}"`)) {
    assert.ok(program.isRunning, `it ended before ${event}:\n${program.stderr()}`);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

const NEVER = '() => new Promise(() => undefined)';

describe('stopOnSignals', () => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    it(`stops in order at ${signal}, with exit code 0`, async () => {
      const program = await startStopping('async () => undefined');
      program.signal(signal);
      assert.equal(await program.ended(), 0);
      assert.deepEqual(eventsOf(program), ['stop_requested', 'stop_called', 'stopped']);
    });
  }

  it('tells a stop that failed by exit code 1 and the reason', async () => {
    const program = await startStopping("() => { throw new Error('volume v1 is not flushed') }");
    program.signal('SIGTERM');
    assert.equal(await program.ended(), 1);
    const last = recordsOf(program).at(-1);
    assert.equal(last?.event, 'stop_failed');
    assert.equal(last.msg, 'stopped, but not in order: volume v1 is not flushed');
    assert.match(last.error?.stack ?? '', /^Error: volume v1/);
  });

  it('ends at once at the second signal', async () => {
    const program = await startStopping(NEVER);
    program.signal('SIGTERM');
    await whenLogged(program, 'stop_called');
    program.signal('SIGINT');
    assert.equal(await program.ended(), 1);
    assert.deepEqual(eventsOf(program), ['stop_requested', 'stop_called', 'stop_cut_short']);
    assert.match(program.stderr(), /second signal \(SIGINT\): ending at once/);
  });

  it('does not take a closing terminal, which hangs up twice, for hurry', async () => {
    const program = await startStopping(
      "() => new Promise((resolve) => process.once('SIGUSR2', resolve))",
    );
    program.signal('SIGHUP');
    await whenLogged(program, 'stop_called');
    program.signal('SIGHUP');
    program.signal('SIGUSR2');
    assert.equal(await program.ended(), 0);
    assert.deepEqual(eventsOf(program), ['stop_requested', 'stop_called', 'stopped']);
  });

  it('does not wait for ever', async () => {
    const program = await startStopping(NEVER, 50);
    program.signal('SIGTERM');
    assert.equal(await program.ended(), 1);
    assert.match(program.stderr(), /"event":"stop_timed_out".*did not stop within 50 ms: ending/);
  });
});

describe('logCrashes', () => {
  for (const [what, code] of [
    ['an exception', "setImmediate(() => { throw new Error('a bug') })"],
    ['a rejection', "Promise.reject(new Error('a bug'))"],
  ] as const) {
    it(`logs ${what} that nobody caught, with its stack, and ends with exit code 1`, async () => {
      const program = await startProcess(
        `crash.logCrashes(log); setInterval(() => undefined, 1000); console.log('ready'); ${code};`,
      );
      assert.equal(await program.ended(), 1);
      const [record] = recordsOf(program);
      assert.equal(record?.event, 'crashed');
      assert.equal(record.msg, 'ending because of a bug: a bug');
      assert.match(record.error?.stack ?? '', /Error: a bug\n +at /);
    });
  }
});

describe('createLogger', () => {
  it('outlives whoever reads the log', async () => {
    const program = await startProcess(`
      process.on('SIGUSR2', () => {
        log.warn({ event: 'written_to_nobody' });
        setTimeout(() => process.exit(7), 20);
      });
      setInterval(() => undefined, 1000);
      console.log('ready');
    `);
    program.child.stderr?.destroy();
    program.signal('SIGUSR2');
    assert.equal(await program.ended(), 7);
  });
});
