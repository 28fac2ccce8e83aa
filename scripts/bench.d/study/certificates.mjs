/** Certificates for both ends of a way, made by the product's own command and read as its programs read them. */
import path from 'node:path';
import { TlsMaterial } from '#daemon/security/tls-material.js';
import { runCommand } from '../blkferry.mjs';

/** @returns the folder with certificate and key of a holder that may serve and ask */
export async function makeCertificates(folder) {
  const authority = path.join(folder, 'authority');
  const holder = path.join(folder, 'holder');
  await runCommand('pki', 'init', authority);
  await runCommand(
    ...['pki', 'issue', holder, '--ca', authority],
    ...['--name', 'localhost', '--host', '127.0.0.1'],
  );
  return holder;
}

/** @param folder undefined: plain text @returns as the daemon's settings make it */
export function loadMaterial(folder) {
  if (folder === undefined) return undefined;
  const inFolder = (name) => path.join(folder, name);
  const files = { certificate: inFolder('cert.pem'), key: inFolder('key.pem') };
  return TlsMaterial.load(
    { ...files, ca: inFolder('ca.pem'), minVersion: '1.3' },
    // What it is good for is asked once.
    new Date().getTime(),
  );
}
