/** What a process does to itself. The calls that change it for good are made in one of their own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import {
  forbidCoreDumps,
  isIoFlusher,
  lockPages,
  replaceProcess,
  setIoFlusher,
} from 'blkferry-kernel';

const ADDON = import.meta.resolve('blkferry-kernel');
const PAGE_BYTES = 4096;

interface Outcome {
  readonly status: number | null;
  readonly pid: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs lines of JavaScript that have the add-on as `addon`. */
function runScript(lines: string, input = '', user = process.getuid!()): Outcome {
  const script = `import * as addon from ${JSON.stringify(ADDON)};\n${lines}`;
  const { status, pid, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', script],
    { encoding: 'utf8', input, timeout: 60_000, uid: user },
  );
  return { status, pid, stdout, stderr };
}

function toldByKernel(): string | undefined {
  try {
    setIoFlusher(false);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

describe('replaceProcess', () => {
  it('goes on as another program, under the same process id, with its words and environment', () => {
    const outcome = runScript(
      `addon.replaceProcess('/bin/sh', ['sh', '-c', 'echo $$ "$0" "$1" "$NAME" "$PATH"; exit 7', 'zwölf', ''], ['NAME=a b']);`,
    );
    assert.equal(outcome.stderr, '');
    assert.match(outcome.stdout, new RegExp(`^${outcome.pid} zwölf  a b `));
    assert.equal(outcome.status, 7);
  });

  it('leaves it the standard streams, although Node marked them close-on-exec', () => {
    const outcome = runScript(
      `addon.replaceProcess('/bin/sh', ['sh', '-c', 'cat; echo told >&2'], []);`,
      'asked',
    );
    assert.deepEqual([outcome.stdout, outcome.stderr], ['asked', 'told\n']);
  });

  it('leaves it no other file of Node', () => {
    const lines = `
      import fs from 'node:fs';
      fs.openSync('/dev/zero');
      addon.replaceProcess('/bin/sh', ['sh', '-c', 'ls -l /proc/$$/fd'], ['PATH=/usr/bin:/bin']);`;
    const { stdout } = runScript(lines);
    assert.match(stdout, / 0 -> /);
    assert.doesNotMatch(stdout, /zero|anon_inode/);
  });

  it('goes on as before when there is no such program', () => {
    const outcome = runScript(`
      try {
        addon.replaceProcess('/nonexistent/program', ['x'], []);
      } catch ({ code, syscall }) {
        setTimeout(() => console.log(code, syscall), 1);
      }`);
    assert.deepEqual([outcome.stdout, outcome.status], ['ENOENT execve\n', 0]);
  });

  it('refuses what cannot be a path, an argument or an environment', () => {
    const call = replaceProcess as (...values: unknown[]) => void;
    assert.throws(() => {
      call('/nonexistent', 'sh', []);
    }, TypeError);
    assert.throws(() => {
      call('/nonexistent', ['sh', 1], []);
    }, TypeError);
    assert.throws(() => {
      call('/nonexistent', ['sh', 'a\0b'], []);
    }, RangeError);
    assert.throws(() => {
      call('/nonexistent', [], ['x'.repeat(131_072)]);
    }, RangeError);
    assert.throws(() => {
      call('/nonexistent', []);
    }, TypeError);
  });
});

describe('setIoFlusher', () => {
  it('marks the thread, and threads that begin afterwards', (t) => {
    const code = toldByKernel();
    if (code !== undefined) {
      assert.ok(code === 'EPERM' || code === 'EINVAL', code);
      assert.equal(isIoFlusher(), false);
      t.skip(`the kernel does not allow it here: ${code} (CAP_SYS_RESOURCE, Linux 5.6)`);
      return;
    }
    const outcome = runScript(`
      import { Worker } from 'node:worker_threads';
      console.log(addon.isIoFlusher());
      addon.setIoFlusher(true);
      console.log(addon.isIoFlusher());
      const script = 'import(${JSON.stringify(ADDON)}).then((addon) => console.log(addon.isIoFlusher()))';
      new Worker(script, { eval: true });`);
    assert.equal(outcome.stdout, 'false\ntrue\ntrue\n', outcome.stderr);
  });

  it('takes a boolean and nothing else', () => {
    const call = setIoFlusher as (...values: unknown[]) => void;
    assert.throws(() => {
      call(1);
    }, TypeError);
    assert.throws(() => {
      call();
    }, TypeError);
  });
});

describe('forbidCoreDumps', () => {
  it('leaves the process as it is, but for its mark: only root may look into it', (t) => {
    const lines = `
      import fs from 'node:fs';
      const owner = () => fs.statSync('/proc/self/mem').uid;
      const before = owner();
      addon.forbidCoreDumps();
      console.log(before, owner(), fs.readdirSync('/proc/self/fd').length > 2);`;
    const user = process.getuid!() || 65_534;
    const { stdout, stderr } = runScript(lines, '', user);
    if (stderr.includes('EACCES')) t.skip('another user may not read the add-on here');
    else assert.equal(stdout, `${user} 0 true\n`, stderr);
  });

  it('takes nothing', () => {
    const call: (...values: unknown[]) => void = forbidCoreDumps;
    assert.throws(() => {
      call(true);
    }, TypeError);
  });
});

describe('lockPages', () => {
  it('locks one mapping, as the kernel shows', (t) => {
    const lines = `
      import fs from 'node:fs';
      const locked = () => Number(/^VmLck:\\s+(\\d+)/m.exec(fs.readFileSync('/proc/self/status', 'latin1'))[1]);
      const [, start] = /^([0-9a-f]+)-[0-9a-f]+ r-xp/m.exec(fs.readFileSync('/proc/self/maps', 'latin1'));
      const before = locked();
      try {
        addon.lockPages(Number('0x' + start), ${PAGE_BYTES});
        console.log(locked() - before);
      } catch (error) {
        console.log(error.code);
      }`;
    const { stdout } = runScript(lines);
    if (/^E/.test(stdout)) t.skip(`the kernel does not allow it here: ${stdout.trim()}`);
    else assert.equal(stdout, `${PAGE_BYTES / 1024}\n`);
  });

  it('says that there is nothing at an address', () => {
    assert.throws(
      () => {
        lockPages(PAGE_BYTES, PAGE_BYTES);
      },
      { code: /^(ENOMEM|EPERM)$/, syscall: 'mlock2' },
    );
    assert.throws(() => {
      lockPages(-1, 1);
    }, RangeError);
    assert.ok(fs.existsSync('/proc/self/maps'));
  });
});
