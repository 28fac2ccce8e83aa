/**
 * What every command works with: the surroundings, the way to its peer, and one way to print. Each
 * command gets the same object; it lives for one run.
 */
import type { StorageClient } from '../transport/storage-client.js';
import { addressProblem, isLocalNode, nodeProblem } from '../rpc/node-address.js';
import type { AdminClient } from './admin-client.js';
import type { DaemonOptions, NodeOptions, OutputOptions } from './command-options.js';
import { CommandError, EXIT_OK } from './exit-codes.js';
import { toJson } from './json-output.js';
import { tlsFilesOf } from './protection-options.js';
import type { Surroundings } from './surroundings.js';
import { printable } from './table-output.js';

export class CommandContext {
  /** For commands that print a result and yet did not find all well (`status`). */
  exitCode = EXIT_OK;

  constructor(readonly surroundings: Surroundings) {}

  /** Width for tables on stdout; undefined when nobody looks at a terminal. */
  get columnsMax(): number | undefined {
    return this.surroundings.stdoutColumns;
  }

  /** The one result of a command: a JSON document, or the text that `asText` makes. */
  print(options: OutputOptions, document: unknown, asText: () => string): void {
    this.surroundings.stdout.write(options.json === true ? toJson(document) : asText());
  }

  /** A sentence beside the result. */
  warn(sentence: string): void {
    this.surroundings.stderr.write(`blkferry: ${printable(sentence)}\n`);
  }

  /** Runs `work` with a client of the node; closes the client. */
  async withNode<Value>(
    options: NodeOptions,
    work: (node: StorageClient) => Promise<Value>,
  ): Promise<Value> {
    const { node: address, timeout: timeoutMs, insecure = false } = options;
    const tls = tlsFilesOf(options);
    refuseProblem(nodeProblem(address), '--node');
    if (tls === undefined && !insecure && !isLocalNode(address)) {
      throw new CommandError(
        'usage',
        `--node: ${address} is on another machine and the connection is plain text; give ` +
          '--tls-certificate, --tls-key and --tls-ca, or --insecure if the network between is private',
      );
    }
    const client = this.surroundings.openNode({
      address,
      timeoutMs,
      insecure,
      ...(tls === undefined ? {} : { tls }),
    });
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }

  /** Runs `work` with a client of the daemon; closes the client. */
  async withDaemon<Value>(
    options: DaemonOptions,
    timeoutMs: number,
    work: (daemon: AdminClient) => Promise<Value>,
  ): Promise<Value> {
    const address = daemonAddress(options);
    const tls = address.startsWith('unix:') ? undefined : tlsFilesOf(options);
    const client = this.surroundings.openDaemon({
      address,
      ...(tls === undefined ? {} : { tls }),
      timeoutMs: options.timeout ?? timeoutMs,
    });
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }
}

/** The socket, given as a path or as unix:/path, or the address of a daemon elsewhere. @throws CommandError */
export function daemonAddress(options: DaemonOptions): string {
  const { adminSocket, adminAddress = '' } = options;
  if (adminAddress !== '') {
    refuseProblem(addressProblem(adminAddress), '--admin-address');
    if (tlsFilesOf(options) !== undefined || adminAddress.startsWith('unix:')) return adminAddress;
    throw new CommandError(
      'usage',
      '--admin-address: a daemon is reached over TCP with a certificate only; give --tls-certificate, --tls-key and --tls-ca',
    );
  }
  const address = adminSocket.startsWith('unix:') ? adminSocket : `unix:${adminSocket}`;
  refuseProblem(addressProblem(address), '--admin-socket');
  return address;
}

function refuseProblem(problem: string | undefined, option: string): void {
  if (problem !== undefined) throw new CommandError('usage', `${option}: ${problem}`);
}
