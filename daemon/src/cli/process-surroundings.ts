/** The real world for the command: this process's streams and environment, gRPC, and signals. */
import { hostname } from 'node:os';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import { TlsMaterial } from '../security/tls-material.js';
import { createNodeClient } from '../transport/node-client.js';
import type { SessionTimes } from '../transport/grpc-storage-session.js';
import { createAdminClient } from './admin-client.js';
import { connectNbd } from './selftest/nbd-connection.js';
import { THIS_MACHINE } from './doctor/machine.js';
import type { Surroundings } from './surroundings.js';

/** How import and export notice a node that fell silent; nobody's virtual machine waits meanwhile. */
const SESSION_TIMES: SessionTimes = {
  openTimeoutMs: 10_000,
  probeIntervalMs: 5000,
  probeTimeoutMs: 20_000,
};

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export function processSurroundings(): Surroundings {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    stdoutColumns: process.stdout.isTTY ? process.stdout.columns : undefined,
    stderrIsTerminal: process.stderr.isTTY,
    hostname: hostname(),
    processId: process.pid,
    clock: SYSTEM_CLOCK,
    machine: THIS_MACHINE,
    openNode: ({ address, timeoutMs, insecure, tls }) =>
      createNodeClient({
        address,
        callTimeoutMs: timeoutMs,
        sessionTimes: SESSION_TIMES,
        insecure,
        tls: tls === undefined ? undefined : TlsMaterial.load(tls, Date.now()),
        clock: SYSTEM_CLOCK,
      }),
    openDaemon: createAdminClient,
    connectNbd,
    onStopSignal: (callback) => {
      for (const name of STOP_SIGNALS) process.on(name, callback);
      return () => {
        for (const name of STOP_SIGNALS) process.off(name, callback);
      };
    },
  };
}

/**
 * A reader that went away (`blkferry list | head -1`) is no error of ours: the process ends as it would
 * have by the signal that Node hides from it.
 */
export function endQuietlyWithoutReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(BROKEN_PIPE_EXIT);
    throw error;
  });
}

/** 128 + SIGPIPE. */
const BROKEN_PIPE_EXIT = 141;
