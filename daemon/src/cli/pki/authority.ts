/**
 * A small certificate authority in a folder: its key, its certificate, and certificates it issues. The openssl
 * program does the cryptography: every machine with Node's packages has it, keys never pass through this process, and
 * no library has to be trusted beside it.
 *
 * Everything is made in a folder beside its place and renamed when it is whole: nothing is ever overwritten, and
 * nothing half made is left where programs look.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { CommandError } from '../exit-codes.js';

/** What a certificate may be used for. */
export const ROLES = ['node', 'daemon', 'client'] as const;
export type Role = (typeof ROLES)[number];

/** A daemon also serves: its admin API, and NBD. */
const KEY_USAGES: Readonly<Record<Role, string>> = {
  node: 'serverAuth',
  daemon: 'serverAuth,clientAuth',
  client: 'clientAuth',
};

/** An authority is replaced by hand on every machine: seldom. */
export const AUTHORITY_DAYS = 3650;
/** Replaced without a restart, and doctor warns: often enough that somebody knows how. */
export const CERTIFICATE_DAYS = 365;
/** Beyond it a certificate outlives every memory of it. */
export const DAYS_MAX = 7300;

/** Names of the files in the folders. */
export const CA_CERTIFICATE = 'ca.pem';
export const CA_KEY = 'ca.key';
export const CERTIFICATE = 'cert.pem';
export const KEY = 'key.pem';

/** What a machine or a person is called: a DNS name, so that rules and addresses can use it. */
const NAME = /^(?=.{1,63}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i;

/** Elliptic keys: short, fast, and known to everything that speaks TLS 1.2 or 1.3. */
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export interface IssueWish {
  readonly name: string;
  /** Further names and addresses. */
  readonly hosts: readonly string[];
  readonly role: Role;
  readonly days: number;
}

/** @throws CommandError when the folder is there already, or openssl fails */
export async function makeAuthority(folder: string, name: string, days: number): Promise<void> {
  checkName(name, '--name');
  await inNewFolder(folder, async (work) => {
    await openssl(work, [
      ...['req', '-x509', ...NEW_KEY, '-keyout', CA_KEY, '-out', CA_CERTIFICATE],
      ...['-days', String(days), '-subj', `/CN=${name}`, '-sha256'],
      ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ]);
  });
}

/**
 * Key and certificate of one holder, and the authority's certificate beside them: what the settings tls.key,
 * tls.certificate and tls.ca name.
 *
 * @throws CommandError as above, and when the authority is not one
 */
export async function issueCertificate(
  authority: string,
  wish: IssueWish,
  folder: string,
): Promise<void> {
  checkName(wish.name, '--name');
  const caCertificate = path.resolve(authority, CA_CERTIFICATE);
  const caKey = path.resolve(authority, CA_KEY);
  await mustBeThere(caCertificate, authority);
  await mustBeThere(caKey, authority);
  const extensions = [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature',
    `extendedKeyUsage=${KEY_USAGES[wish.role]}`,
    `subjectAltName=${alternativeNames(wish)}`,
  ];
  await inNewFolder(folder, async (work) => {
    await openssl(work, [
      ...['req', '-new', ...NEW_KEY, '-keyout', KEY, '-out', 'request.pem', '-subj'],
      `/CN=${wish.name}`,
    ]);
    await fs.writeFile(path.join(work, 'extensions'), `${extensions.join('\n')}\n`);
    await openssl(work, [
      ...['x509', '-req', '-in', 'request.pem', '-CA', caCertificate, '-CAkey', caKey],
      ...['-set_serial', serialNumber(), '-days', String(wish.days), '-sha256'],
      ...['-extfile', 'extensions', '-out', CERTIFICATE],
    ]);
    await fs.rm(path.join(work, 'request.pem'));
    await fs.rm(path.join(work, 'extensions'));
    await fs.copyFile(caCertificate, path.join(work, CA_CERTIFICATE));
  });
}

/** The name first: it is the one by which rules know the holder. @throws CommandError */
export function alternativeNames({ name, hosts }: IssueWish): string {
  const entries = hosts.map((host) => {
    const bare = host.replace(/^\[|\]$/g, '');
    if (net.isIP(bare) !== 0) return `IP:${bare}`;
    checkName(bare, '--host');
    return `DNS:${bare}`;
  });
  return [...new Set([`DNS:${name}`, ...entries])].join(',');
}

function checkName(name: string, option: string): void {
  if (NAME.test(name)) return;
  throw new CommandError(
    'usage',
    `${option}: ${JSON.stringify(name)} is no name; 1 to 63 letters, digits, dots and hyphens, as in node-a.example`,
  );
}

/** 127 bits of chance: two certificates of an authority never have the same. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return `0x${bytes.toString('hex')}`;
}

async function mustBeThere(file: string, authority: string): Promise<void> {
  try {
    await fs.access(file, fs.constants.R_OK);
  } catch (cause) {
    throw new CommandError(
      'not-found',
      `${authority} has no authority that can be used (${file}); blkferry pki init ${authority} makes one`,
      { cause },
    );
  }
}

/** A folder for its owner alone, there as a whole or not at all. */
async function inNewFolder(folder: string, make: (work: string) => Promise<void>): Promise<void> {
  const place = path.resolve(folder);
  await mustBeFree(place);
  let work: string | undefined;
  try {
    // Of mode 700.
    work = await fs.mkdtemp(`${place}.new-`);
    await make(work);
    await fs.rename(work, place);
  } catch (error) {
    if (work !== undefined) await fs.rm(work, { recursive: true, force: true });
    if (error instanceof CommandError) throw error;
    throw new CommandError('failed', `cannot make ${folder}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function mustBeFree(place: string): Promise<void> {
  const isThere = await fs.lstat(place).then(
    () => true,
    () => false,
  );
  if (!isThere) return;
  throw new CommandError(
    'refused',
    `${place} is there already and nothing was changed; name another folder, or move that one away`,
  );
}

/** @param work the current folder, in which files are named */
function openssl(work: string, words: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile('openssl', words, { cwd: work }, (error, _stdout, stderr) => {
      if (error === null) resolve();
      else reject(opensslFailure(error, stderr));
    });
  });
}

function opensslFailure(error: Error & { code?: unknown }, stderr: string): CommandError {
  if (error.code === 'ENOENT') {
    return new CommandError(
      'failed',
      'the program openssl is needed and not installed (Debian: apt-get install openssl)',
      { cause: error },
    );
  }
  const [line = error.message] = stderr.split('\n').filter((one) => one.trim() !== '');
  return new CommandError('failed', `openssl failed: ${line}`, { cause: error });
}
