/**
 * `blkferry access check FILE CLIENT [VOLUME]`: what a file of rules decides, and which rule does, for people
 * who write one. With a volume the file is a node's (`access_file`), without one a daemon's
 * (`admin.access_file`). Asks nobody: the file is all it looks at.
 */
import { Option, type Command } from 'commander';
import { AccessRules, VOLUME_RIGHTS, type VolumeRight } from '../../config/access-rules.js';
import { ROLES, RoleRules, reaches, type Role } from '../../config/role-rules.js';
import { RuleFileError } from '../../config/rule-file.js';
import type { CommandContext } from '../command-context.js';
import { newCommand, type OutputOptions } from '../command-options.js';
import { CommandError } from '../exit-codes.js';
import { renderTable, type Column } from '../table-output.js';

interface AccessCheckOptions extends OutputOptions {
  readonly right?: VolumeRight;
  readonly role?: Role;
}

interface RightLine {
  readonly right: VolumeRight;
  readonly allowed: boolean;
  readonly reason: string;
}

export function accessCheckCommand(context: CommandContext): Command {
  return newCommand('check', 'what a file of rules gives a client, and which rule does')
    .argument('<file>', 'access_file of a node, or admin.access_file of a daemon')
    .argument('<client>', "the names in the client's certificate, separated by commas")
    .argument('[volume]', 'name of a volume; without it the file is of a daemon')
    .addOption(
      new Option('--right <right>', 'exit code 4 unless the client has it').choices(VOLUME_RIGHTS),
    )
    .addOption(
      new Option('--role <role>', 'exit code 4 unless the client has it, or a higher one').choices(
        ROLES,
      ),
    )
    .action(
      (
        file: string,
        client: string,
        volume: string | undefined,
        options: AccessCheckOptions,
      ): void => {
        const names = client.split(',').filter((name) => name !== '');
        if (names.length === 0) throw new CommandError('usage', 'the name of a client is missing');
        if (volume === undefined) checkRole(context, file, names, options);
        else checkRights(context, file, names, volume, options);
      },
    );
}

function checkRights(
  context: CommandContext,
  file: string,
  names: readonly string[],
  volume: string,
  options: AccessCheckOptions,
): void {
  if (options.role !== undefined)
    throw new CommandError('usage', '--role is for the file of a daemon: leave the volume out');
  const rules = reading(() => AccessRules.fromFile(file));
  const lines: RightLine[] = VOLUME_RIGHTS.map((right) => ({
    right,
    ...rules.decide(names, volume, right),
  }));
  const document = { client: names, volume, rights: lines };
  context.print(options, document, () => renderTable(COLUMNS, lines, context.columnsMax));
  const { right: needed } = options;
  const line = lines.find(({ right }) => right === needed);
  if (line?.allowed !== false) return;
  throw new CommandError(
    'refused',
    `${names.join(', ')} may not ${line.right} volume ${volume}: ${line.reason}`,
  );
}

const COLUMNS: readonly Column<RightLine>[] = [
  { title: 'RIGHT', value: ({ right }) => right },
  { title: 'ALLOWED', value: ({ allowed }) => (allowed ? 'yes' : 'no') },
  { title: 'WHY', value: ({ reason }) => reason, words: true },
];

function checkRole(
  context: CommandContext,
  file: string,
  names: readonly string[],
  options: AccessCheckOptions,
): void {
  if (options.right !== undefined)
    throw new CommandError('usage', '--right is for the file of a node: name a volume as well');
  const { role, reason } = reading(() => RoleRules.fromFile(file)).roleOf(names);
  context.print(
    options,
    { client: names, role, reason },
    () => `${role ?? 'no role'}: ${reason}\n`,
  );
  const needed = options.role;
  if (needed === undefined || (role !== undefined && reaches(role, needed))) return;
  const has = role === undefined ? 'no role' : `role ${role}`;
  throw new CommandError('refused', `${names.join(', ')} has ${has}, not ${needed}: ${reason}`);
}

function reading<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof RuleFileError)) throw error;
    throw new CommandError('failed', error.message, { cause: error });
  }
}
