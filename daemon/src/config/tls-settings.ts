/**
 * The settings for TLS, which both servers have alike, and the rules between them and addresses: three files or
 * none, and plain text beyond this machine only when it was asked for.
 */
import { isLocalNode } from '../rpc/node-address.js';
import type { Rule } from './read-config.js';
import { choice, optionalFilePath, type Values } from './setting.js';

export const TLS_SETTINGS = {
  'tls.certificate': optionalFilePath(
    'Certificate in PEM form by which others know this program, followed by those between it and the authority. With tls.certificate, tls.key and tls.ca every TCP connection to a node or an admin API is TLS, also on loopback; unix sockets never are. All three or none.',
  ),
  'tls.key': optionalFilePath(
    'Its private key, without a passphrase. Refused while every user of the machine may open it.',
  ),
  'tls.ca': optionalFilePath(
    'Certificate of the authority (or several): only peers that present a certificate of it are talked to. The public authorities are never asked.',
  ),
  'tls.min_version': choice(
    '1.3',
    ['1.3', '1.2'],
    'Oldest version of TLS that is spoken. 1.2 only for peers that have nothing newer.',
  ),
} as const;

export type TlsConfig = Values<typeof TLS_SETTINGS>;

/** Named in a rule that asks whether TLS is used. */
export const TLS_FILE_KEYS = ['tls.certificate', 'tls.key', 'tls.ca'] as const;

/** What `TlsMaterial.load` takes; undefined without TLS. */
export function tlsFiles(config: TlsConfig):
  | {
      readonly certificate: string;
      readonly key: string;
      readonly ca: string;
      readonly minVersion: '1.2' | '1.3';
    }
  | undefined {
  if (!usesTls(config)) return undefined;
  return {
    certificate: config['tls.certificate'],
    key: config['tls.key'],
    ca: config['tls.ca'],
    minVersion: config['tls.min_version'],
  };
}

/** True if the three files are named. */
export function usesTls(config: TlsConfig): boolean {
  return TLS_FILE_KEYS.every((key) => config[key] !== '');
}

/** Three files or none. */
const ALL_OR_NONE: Rule<TlsConfig> = {
  keys: TLS_FILE_KEYS,
  problem: (config: TlsConfig): string | undefined => {
    const missing = TLS_FILE_KEYS.filter((key) => config[key] === '');
    if (missing.length === 0 || missing.length === TLS_FILE_KEYS.length) return undefined;
    const given = TLS_FILE_KEYS.filter((key) => config[key] !== '');
    return `${given.join(' and ')} without ${missing.join(' and ')}: TLS needs all three files, or none`;
  },
};

export const TLS_RULES: readonly Rule<TlsConfig>[] = [ALL_OR_NONE];

/** Nothing leaves this machine in plain text there, or it was asked for. */
export function isProtected(
  address: string,
  config: TlsConfig & { readonly insecure: boolean },
): boolean {
  return isLocalNode(address) || usesTls(config) || config.insecure;
}
