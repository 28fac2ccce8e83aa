/** Options of every command that talks over TCP: whose certificate it shows, or that plain text will do. */
import { Option, type Command } from 'commander';
import type { TlsFiles } from '../security/tls-material.js';
import { CommandError } from './exit-codes.js';

export interface ProtectionOptions {
  readonly insecure?: boolean;
  readonly tlsCertificate?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
}

/** The files have the programs' environment variables: whoever runs the daemon has them already. */
export function addProtectionOptions(command: Command): Command {
  // A command that talks to a node and to the daemon has them once.
  if (command.options.some(({ long }) => long === '--insecure')) return command;
  return command
    .addOption(
      new Option(
        '--tls-certificate <file>',
        'certificate shown to others; TLS over TCP, also on loopback',
      ).env('BLKFERRY_TLS_CERTIFICATE'),
    )
    .addOption(new Option('--tls-key <file>', 'its private key').env('BLKFERRY_TLS_KEY'))
    .addOption(
      new Option('--tls-ca <file>', 'authority whose certificates are believed').env(
        'BLKFERRY_TLS_CA',
      ),
    )
    .addOption(new Option('--insecure', 'talk to another machine in plain text'));
}

/** @returns undefined without TLS. @throws CommandError when only some of the files are named */
export function tlsFilesOf(options: ProtectionOptions): TlsFiles | undefined {
  const { tlsCertificate = '', tlsKey = '', tlsCa = '' } = options;
  const files = [tlsCertificate, tlsKey, tlsCa];
  if (files.every((file) => file === '')) return undefined;
  if (files.some((file) => file === '')) {
    throw new CommandError(
      'usage',
      '--tls-certificate, --tls-key and --tls-ca belong together: all three or none',
    );
  }
  return { certificate: tlsCertificate, key: tlsKey, ca: tlsCa, minVersion: '1.3' };
}

/** The part of the options that is handed on when one command asks several peers. */
export function protectionOf(options: ProtectionOptions): ProtectionOptions {
  const { insecure, tlsCertificate, tlsKey, tlsCa } = options;
  return {
    ...(insecure === undefined ? {} : { insecure }),
    ...(tlsCertificate === undefined ? {} : { tlsCertificate }),
    ...(tlsKey === undefined ? {} : { tlsKey }),
    ...(tlsCa === undefined ? {} : { tlsCa }),
  };
}
