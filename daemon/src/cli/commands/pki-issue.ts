/** `blkferry pki issue`: key and certificate of a node, a daemon or a person, ready to be named in tls.*. */
import { Option, type Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import { newCommand, readInteger, type OutputOptions } from '../command-options.js';
import {
  CA_CERTIFICATE,
  CERTIFICATE,
  CERTIFICATE_DAYS,
  DAYS_MAX,
  KEY,
  ROLES,
  issueCertificate,
  type Role,
} from '../pki/authority.js';

interface PkiIssueOptions extends OutputOptions {
  readonly ca: string;
  readonly name: string;
  readonly host: readonly string[];
  readonly role: Role;
  readonly days: number;
}

export function pkiIssueCommand(context: CommandContext): Command {
  return newCommand('issue', 'make a key and a certificate for a node, a daemon or a person')
    .argument('<dir>', 'the new folder for them')
    .requiredOption('--ca <dir>', 'the authority, as pki init made it')
    .requiredOption('--name <name>', 'by which rules know the holder; a name of the machine')
    .option(
      '--host <host>',
      'a further name or address under which it is reached; may be repeated',
      (host: string, before: readonly string[]) => [...before, host],
      [],
    )
    .addOption(
      new Option('--role <role>', 'node: serves; daemon: serves and asks; client: asks only')
        .choices(ROLES)
        .default('daemon'),
    )
    .option(
      '--days <count>',
      'how long it is valid',
      (text) => readInteger(text, 1, DAYS_MAX),
      CERTIFICATE_DAYS,
    )
    .action(async (folder: string, options: PkiIssueOptions) => {
      const { name, host: hosts, role, days } = options;
      await issueCertificate(options.ca, { name, hosts, role, days }, folder);
      const document = {
        certificate: `${folder}/${CERTIFICATE}`,
        key: `${folder}/${KEY}`,
        ca: `${folder}/${CA_CERTIFICATE}`,
      };
      context.print(
        options,
        document,
        () =>
          `tls.certificate = "${document.certificate}"\n` +
          `tls.key = "${document.key}"\n` +
          `tls.ca = "${document.ca}"\n`,
      );
    });
}
