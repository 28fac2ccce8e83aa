/**
 * What a program proves itself with, and believes others by: its certificate, its private key, and the
 * authority whose certificates it accepts, from three files. They are read as a whole or not at all: a set that
 * cannot be used is refused with a sentence and leaves the one before in use.
 *
 * When to read again is certificate-watch.ts's business; what is done with the contexts that of gRPC's and
 * NBD's listeners.
 */
import { constants, createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import tls from 'node:tls';
import {
  certificateFacts,
  certificatesOf,
  dayAndTime,
  type CertificateFacts,
} from './certificate.js';

export type TlsVersion = '1.2' | '1.3';

export interface TlsFiles {
  /** PEM: the program's certificate, then those between it and the authority. */
  readonly certificate: string;
  /** PEM, not encrypted. */
  readonly key: string;
  /** PEM: one or more authorities. */
  readonly ca: string;
  /** Older ones are refused. */
  readonly minVersion: TlsVersion;
}

/** One set of files as it was when it was read. */
export interface TlsIdentity {
  /** For both sides of connections. */
  readonly secureContext: tls.SecureContext;
  /** What the context was made of, for servers that make their own (tls.Server.setSecureContext). */
  readonly contextOptions: tls.SecureContextOptions;
  readonly facts: CertificateFacts;
}

/** What another thread needs to be the same to others: values without OpenSSL's objects. */
export interface TlsTold extends Omit<TlsIdentity, 'secureContext'> {
  readonly files: TlsFiles;
}

/** Files that cannot be used; the sentence names the setting, the file and the remedy. */
export class TlsMaterialError extends Error {
  override readonly name = 'TlsMaterialError';
}

/** A certificate or a chain of them is a few KiB; anything beyond this is another file. */
export const PEM_BYTES_MAX = 1024 * 1024;

export class TlsMaterial {
  #current: TlsIdentity;
  readonly #listeners = new Set<(identity: TlsIdentity) => void>();

  private constructor(
    readonly files: TlsFiles,
    identity: TlsIdentity,
  ) {
    this.#current = identity;
  }

  /** @throws TlsMaterialError */
  static load(files: TlsFiles, nowMs: number): TlsMaterial {
    return new TlsMaterial(files, readIdentity(files, nowMs));
  }

  /** In another thread; whoever reads the files there says so when there are others. */
  static heard(told: TlsTold): TlsMaterial {
    return new TlsMaterial(told.files, identityOf(told));
  }

  hear(told: TlsTold): void {
    this.#replace(identityOf(told));
  }

  get told(): TlsTold {
    const { contextOptions, facts } = this.#current;
    return { files: this.files, contextOptions, facts };
  }

  /** To be asked anew for each connection. */
  get current(): TlsIdentity {
    return this.#current;
  }

  /** Reads the files again; new connections use what they hold. @throws TlsMaterialError, and nothing changes */
  reload(nowMs: number): void {
    this.#replace(readIdentity(this.files, nowMs));
  }

  /** @returns ends it */
  onReplaced(listener: (identity: TlsIdentity) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #replace(identity: TlsIdentity): void {
    this.#current = identity;
    for (const listener of this.#listeners) listener(identity);
  }
}

function identityOf({ contextOptions, facts }: TlsTold): TlsIdentity {
  return { secureContext: tls.createSecureContext(contextOptions), contextOptions, facts };
}

function readIdentity(files: TlsFiles, nowMs: number): TlsIdentity {
  const certificatePem = readPem('tls.certificate', files.certificate);
  refuseReadableByOthers(files.key);
  const keyPem = readPem('tls.key', files.key);
  const caPem = readPem('tls.ca', files.ca);
  const [certificate] = parseCertificates('tls.certificate', files.certificate, certificatePem);
  const facts = certificateFacts(certificate);
  parseCertificates('tls.ca', files.ca, caPem);
  const key = parseKey(files.key, keyPem);
  if (!certificate.checkPrivateKey(key)) {
    throw new TlsMaterialError(
      `tls.key: ${files.key} is not the key of the certificate in ${files.certificate} (tls.certificate); the two are made together`,
    );
  }
  refuseOutOfTime(files.certificate, facts, nowMs);
  const contextOptions: tls.SecureContextOptions = {
    cert: certificatePem,
    key: keyPem,
    ca: caPem,
    minVersion: files.minVersion === '1.2' ? 'TLSv1.2' : 'TLSv1.3',
    // No resumption: a resumed session is not verified again, so it would outlive a certificate or an authority
    // that was replaced. Connections here are few and long.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
  try {
    return { secureContext: tls.createSecureContext(contextOptions), contextOptions, facts };
  } catch (cause) {
    const { message } = cause as Error;
    throw new TlsMaterialError(
      `tls.certificate: ${files.certificate}, ${files.key} and ${files.ca} cannot be used together: ${message}`,
      { cause },
    );
  }
}

function readPem(setting: string, file: string): string {
  try {
    const { size } = fs.statSync(file);
    if (size > PEM_BYTES_MAX)
      throw new Error(`it has ${size} bytes, which no file of certificates has`);
    return fs.readFileSync(file, 'utf8');
  } catch (cause) {
    const { message } = cause as Error;
    throw new TlsMaterialError(`${setting}: ${file} cannot be read: ${message}`, { cause });
  }
}

/**
 * Refused and not only remarked upon: whoever reads the key is this program for everybody else, and a warning
 * in a log has never closed a file. A group may read it, as distributions do it (ssl-cert).
 */
function refuseReadableByOthers(file: string): void {
  let mode: number;
  try {
    ({ mode } = fs.statSync(file));
  } catch (cause) {
    const { message } = cause as Error;
    throw new TlsMaterialError(`tls.key: ${file} cannot be read: ${message}`, { cause });
  }
  if ((mode & 0o007) === 0) return;
  throw new TlsMaterialError(
    `tls.key: ${file} may be opened by every user of this machine (mode ${(mode & 0o777).toString(8)}); chmod 600 ${file}`,
  );
}

/** @returns at least one */
function parseCertificates(
  setting: string,
  file: string,
  pem: string,
): [X509Certificate, ...X509Certificate[]] {
  let certificates: X509Certificate[];
  try {
    certificates = certificatesOf(pem);
  } catch (cause) {
    const { message } = cause as Error;
    throw new TlsMaterialError(`${setting}: ${file} has a damaged certificate: ${message}`, {
      cause,
    });
  }
  const [first, ...others] = certificates;
  if (first === undefined) {
    throw new TlsMaterialError(
      `${setting}: ${file} has no certificate in PEM form (-----BEGIN CERTIFICATE-----)`,
    );
  }
  return [first, ...others];
}

function parseKey(file: string, pem: string): KeyObject {
  if (pem.includes('ENCRYPTED')) {
    throw new TlsMaterialError(
      `tls.key: ${file} is encrypted, and nobody is there to type its passphrase; give a key without one, in a file of mode 600`,
    );
  }
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    // OpenSSL's words say nothing about the content, and neither does this.
    throw new TlsMaterialError(`tls.key: ${file} is not a private key in PEM form`, { cause });
  }
}

function refuseOutOfTime(file: string, facts: CertificateFacts, nowMs: number): void {
  if (nowMs > facts.validToMs) {
    throw new TlsMaterialError(
      `tls.certificate: ${file} (${facts.subject}) has expired on ${dayAndTime(facts.validToMs)}; issue a new one`,
    );
  }
  if (nowMs < facts.validFromMs) {
    throw new TlsMaterialError(
      `tls.certificate: ${file} (${facts.subject}) is valid from ${dayAndTime(facts.validFromMs)} only; is this machine's clock right?`,
    );
  }
}
