/** The openssl program as a TLS client of a gRPC door, with whatever certificate it is given. */
import type { TlsFiles } from '#daemon/security/tls-material.js';
import { runProgram } from './program.js';

/**
 * Goes through the handshake, as far as the server lets it, and leaves.
 *
 * @param files undefined: no certificate
 * @param words further options of `openssl s_client`
 */
export async function knock(
  address: string,
  files: Pick<TlsFiles, 'certificate' | 'key'> | undefined,
  words: readonly string[] = [],
): Promise<void> {
  const own = files === undefined ? [] : ['-cert', files.certificate, '-key', files.key];
  const target = ['s_client', '-connect', address, '-alpn', 'h2', '-quiet', '-no_ign_eof'];
  await runProgram('openssl', [...target, ...own, ...words]);
}
