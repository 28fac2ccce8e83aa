/**
 * Options and arguments that several commands share, and how their values are read. Every value is
 * checked here, before anything is done.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseBytes, parseDuration } from '../config/quantity.js';
import { DEFAULT_ADMIN_SOCKET } from '../config/default-paths.js';
import { addProtectionOptions, type ProtectionOptions } from './protection-options.js';

/** Where a node listens unless configured otherwise. */
const DEFAULT_NODE = '127.0.0.1:7600';

/** Questions to the daemon are answered from its memory. */
export const QUERY_TIMEOUT_MS = 10_000;

/** A call to a node is an update of a small file at most. */
const NODE_TIMEOUT_MS = 10_000;

export interface OutputOptions {
  readonly json?: boolean;
}

export interface NodeOptions extends ProtectionOptions {
  readonly node: string;
  /** Milliseconds. */
  readonly timeout: number;
}

export interface DaemonOptions extends ProtectionOptions {
  readonly adminSocket: string;
  /** host:port; instead of the socket. */
  readonly adminAddress?: string;
  /** Milliseconds; undefined: what the command usually needs. */
  readonly timeout?: number;
}

export function newCommand(name: string, description: string): Command {
  return new Command(name).description(description).option('--json', 'print one JSON document');
}

/** For commands that talk to a storage node. */
export function addNodeOptions(command: Command): Command {
  return addNodeAddress(command).addOption(
    new Option('--timeout <duration>', 'most time for one call')
      .default(NODE_TIMEOUT_MS, '10s')
      .argParser(readDuration),
  );
}

export function addNodeAddress(command: Command): Command {
  return addProtectionOptions(
    command.addOption(
      new Option(
        '--node <address>',
        'storage node, as host:port or unix:/path, or several addresses of it with commas between',
      )
        .env('BLKFERRY_NODE')
        .default(DEFAULT_NODE),
    ),
  );
}

/** For commands that talk to the daemon. */
export function addDaemonOptions(command: Command): Command {
  return addProtectionOptions(command)
    .addOption(
      new Option('--admin-socket <path>', "the daemon's admin socket")
        .env('BLKFERRY_ADMIN_SOCKET')
        .default(DEFAULT_ADMIN_SOCKET),
    )
    .addOption(
      new Option(
        '--admin-address <address>',
        'a daemon on another machine, as host:port (admin.tcp), instead of the socket',
      ).env('BLKFERRY_ADMIN_ADDRESS'),
    )
    .addOption(
      new Option('--timeout <duration>', 'most time to wait for the daemon').argParser(
        readDuration,
      ),
    );
}

/** "20G", "64KiB" or a number of bytes. */
export function readBytes(text: string): number {
  return reading(() => parseBytes(text));
}

/** "10s", "500ms". */
export function readDuration(text: string): number {
  return reading(() => parseDuration(text));
}

/** A whole number within bounds, both included. */
export function readInteger(text: string, min: number, max: number): number {
  return reading(() => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw new Error(`"${text}" is not a whole number from ${min} to ${max}`);
  });
}

/** A value that cannot be read is a usage error with the reader's own sentence. */
function reading<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}
