/** `blkferry pki init DIR`: an authority of one's own, for those who have none. */
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import { newCommand, readInteger, type OutputOptions } from '../command-options.js';
import {
  AUTHORITY_DAYS,
  CA_CERTIFICATE,
  CA_KEY,
  DAYS_MAX,
  makeAuthority,
} from '../pki/authority.js';

interface PkiInitOptions extends OutputOptions {
  readonly name: string;
  readonly days: number;
}

export function pkiInitCommand(context: CommandContext): Command {
  return newCommand('init', 'make a certificate authority in a new folder')
    .argument('<dir>', 'the new folder; keep it where nobody else can read it, best on no server')
    .option('--name <name>', 'what the authority is called', 'blkferry')
    .option(
      '--days <count>',
      'how long its certificate is valid',
      (text) => readInteger(text, 1, DAYS_MAX),
      AUTHORITY_DAYS,
    )
    .action(async (folder: string, options: PkiInitOptions) => {
      await makeAuthority(folder, options.name, options.days);
      const document = { key: `${folder}/${CA_KEY}`, certificate: `${folder}/${CA_CERTIFICATE}` };
      context.print(
        options,
        document,
        () =>
          `${document.key} is the key of the authority: whoever has it can be anybody\n` +
          `${document.certificate} is its certificate, which every machine may have\n`,
      );
    });
}
