/** Programs of the bench: run one to its end, start one and stop it by its handle, see its CPU time. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { BenchFailure } from './bench-failure.mjs';

const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;
const READY_POLL_MS = 20;

/** Kept of a program's messages, for when it fails. */
const MESSAGE_CHARACTERS = 4000;

/** USER_HZ of /proc/PID/stat, 100 on every Linux that Node runs on. */
const MICROSECONDS_PER_TICK = 10_000;
const BYTES_PER_KIBIBYTE = 1024;

const running = new Set();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

function launch(name, args, { environment = {}, hasChannel = false, isDetached = false } = {}) {
  const child = spawn(name, args, {
    stdio: ['ignore', 'pipe', 'pipe', ...(hasChannel ? ['ipc'] : [])],
    env: { ...process.env, LC_ALL: 'C', ...environment },
    detached: isDetached,
  });
  running.add(child);
  const text = { out: '', messages: '' };
  child.stdout?.setEncoding('utf8').on('data', (piece) => {
    text.out += piece;
  });
  child.stderr?.setEncoding('utf8').on('data', (piece) => {
    text.messages = (text.messages + piece).slice(-MESSAGE_CHARACTERS);
  });
  const ended = new Promise((resolve, reject) => {
    child.once('error', (error) => {
      running.delete(child);
      const missing = error.code === 'ENOENT';
      reject(new BenchFailure(missing ? `${name} is not installed` : error.message));
    });
    child.once('close', (status, signal) => {
      running.delete(child);
      resolve(signal ?? status);
    });
  });
  ended.catch(() => {});
  return { child, ended, text };
}

/** @param options as of `start` @returns standard output @throws BenchFailure with the program's messages */
export async function run(name, args, options) {
  const { ended, text } = launch(name, args, options);
  const status = await ended;
  if (status === 0) return text.out;
  throw new BenchFailure(`${[name, ...args].join(' ')}: ended with ${status}\n${text.messages}`);
}

/**
 * Starts a server.
 * @param isReady resolves to true once it can be used; is given what it wrote to standard output
 * @param options environment: more of it; hasChannel: it is a program of Node that answers messages; isDetached: out
 *   of reach of a Ctrl-C, which hits all that the terminal started
 * @returns {pid, stop, ended, output, ask}; `ended` resolves when it ends by itself
 */
export async function start(name, args, isReady, options) {
  const { child, ended, text } = launch(name, args, options);
  let status;
  ended.then(
    (value) => (status = value),
    (error) => (status = error.message),
  );
  const stop = async () => {
    if (status !== undefined) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended.catch(() => {});
    clearTimeout(timer);
  };
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (!(await isReady(text.out))) {
    if (status === undefined && performance.now() < deadlineMs) {
      await wait(READY_POLL_MS);
      continue;
    }
    const command = [name, ...args].join(' ');
    const what = status === undefined ? 'was not ready in time' : `ended with ${status}`;
    await stop();
    throw new BenchFailure(`${command}: ${what}\n${text.messages}`);
  }
  const ask = (message) => asked(child, message, () => `${name}: ended\n${text.messages}`);
  return { pid: child.pid, stop, ended, output: () => text.out, ask };
}

/** @returns the program's next message @throws BenchFailure if it ends before */
function asked(child, message, words) {
  return new Promise((resolve, reject) => {
    const onClose = () => reject(new BenchFailure(words()));
    child.once('close', onClose);
    child.once('message', (answer) => {
      child.removeListener('close', onClose);
      resolve(answer);
    });
    child.send(message, (error) => {
      if (error !== null) onClose();
    });
  });
}

/** @param address as for net.connect */
export function accepts(address) {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Processor time, user and system, of each of these processes from now on. */
export function measureCpu(pids) {
  const before = pids.map(ticks);
  return {
    microseconds: () =>
      pids.map((pid, index) => (ticks(pid) - before[index]) * MICROSECONDS_PER_TICK),
  };
}

/** @returns memory of these processes now; pages that they share are counted for each */
export function residentBytes(pids) {
  const kibibytes = pids.map((pid) =>
    Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]),
  );
  return kibibytes.reduce((sum, value) => sum + value, 0) * BYTES_PER_KIBIBYTE;
}

function ticks(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Behind the name, which may contain anything, field 3 is the first.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
