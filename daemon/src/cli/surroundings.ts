/**
 * Everything of the world that a command touches, handed in so that tests can play the world: streams,
 * environment, time, the two kinds of peers, and Ctrl-C.
 */
import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../runtime/clock.js';
import type { TlsFiles } from '../security/tls-material.js';
import type { StorageClient } from '../transport/storage-client.js';
import type { AdminClient, AdminClientOptions } from './admin-client.js';
import type { CuttableDevice } from './selftest/load-lane.js';
import type { NbdTarget } from './selftest/nbd-target.js';
import type { Machine } from './doctor/machine.js';

export interface NodeClientOptions {
  /** host:port or unix:/path */
  readonly address: string;
  /** Most time for one call. */
  readonly timeoutMs: number;
  /** Allow plain text to other machines. */
  readonly insecure: boolean;
  /** For TLS over TCP; absent: plain text. */
  readonly tls?: TlsFiles;
}

export interface Surroundings {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Width of the terminal on stdout; undefined when it is not a terminal. */
  readonly stdoutColumns: number | undefined;
  readonly stderrIsTerminal: boolean;
  readonly hostname: string;
  readonly processId: number;
  readonly clock: Clock;
  /** Only looked at. */
  readonly machine: Machine;
  openNode(options: NodeClientOptions): StorageClient;
  openDaemon(options: AdminClientOptions): AdminClient;
  /** As an NBD client. @throws Error with the server's reason */
  connectNbd(target: NbdTarget): Promise<CuttableDevice>;
  /** Calls back at SIGINT and SIGTERM instead of dying; returns how to stop listening. */
  onStopSignal(callback: (signalName: string) => void): () => void;
}
