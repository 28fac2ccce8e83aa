/**
 * Certificates of a test: made with the openssl program when they are needed, in the test's own folder. Good
 * ones and each kind of bad one.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import type { TlsFiles } from '#daemon/security/tls-material.js';

const DAY_MS = 24 * 60 * 60 * 1000;

export interface CertificateWish {
  /** Common name. */
  readonly name: string;
  /** As in openssl's configuration: "DNS:localhost,IP:127.0.0.1". */
  readonly alternativeNames: string;
  /** Both purposes unless said otherwise. */
  readonly extendedKeyUsage?: string;
  /** From now; negative: in the past. */
  readonly validFromDays?: number;
  readonly validToDays?: number;
}

const HOST: CertificateWish = {
  name: 'localhost',
  alternativeNames: 'DNS:localhost,IP:127.0.0.1,IP:::1,URI:blkferry://host/test',
};

export class TestAuthority {
  readonly #folder: string;
  #issued = 0;

  /** @param folder its files are made here, and those of the certificates it issues */
  constructor(
    folder: string,
    readonly name = 'test authority',
  ) {
    this.#folder = fs.mkdtempSync(path.join(folder, 'authority-'));
    this.#openssl([
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-keyout', 'ca.key', '-out', 'ca.pem', '-days', '30', '-subj', `/CN=${name}`],
      ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ]);
    fs.writeFileSync(this.#path('index.txt'), '');
    fs.writeFileSync(
      this.#path('ca.conf'),
      '[ca]\ndefault_ca=one\n[one]\ndatabase=index.txt\nnew_certs_dir=.\ndefault_md=sha256\n' +
        'policy=any\nunique_subject=no\nrand_serial=yes\n[any]\ncommonName=supplied\n',
    );
  }

  get file(): string {
    return this.#path('ca.pem');
  }

  /** Certificate and key of a new holder, to be used with this authority's certificate. */
  issue(wish: Partial<CertificateWish> = {}): TlsFiles {
    const { name, alternativeNames, extendedKeyUsage, validFromDays, validToDays } = {
      ...HOST,
      extendedKeyUsage: 'serverAuth,clientAuth',
      validFromDays: -1,
      validToDays: 30,
      ...wish,
    };
    this.#issued += 1;
    const stem = `holder-${this.#issued}`;
    this.#openssl([
      ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-keyout', `${stem}.key`, '-out', `${stem}.csr`, '-subj', `/CN=${name}`],
    ]);
    fs.writeFileSync(
      this.#path(`${stem}.ext`),
      `subjectAltName=${alternativeNames}\nextendedKeyUsage=${extendedKeyUsage}\n`,
    );
    this.#openssl([
      ...['ca', '-batch', '-notext', '-config', 'ca.conf', '-cert', 'ca.pem', '-keyfile', 'ca.key'],
      ...['-in', `${stem}.csr`, '-out', `${stem}.pem`, '-extfile', `${stem}.ext`],
      ...['-startdate', openSslTime(validFromDays), '-enddate', openSslTime(validToDays)],
    ]);
    return {
      certificate: this.#path(`${stem}.pem`),
      key: this.#path(`${stem}.key`),
      ca: this.file,
      minVersion: '1.3',
    };
  }

  /** A certificate that nobody signed but its holder. */
  selfSigned(): TlsFiles {
    return this.#selfSigned('/CN=myself', [`subjectAltName=${HOST.alternativeNames}`]);
  }

  /** Another one, with neither subject nor names. */
  nameless(): TlsFiles {
    return this.#selfSigned('/', []);
  }

  #selfSigned(subject: string, extensions: readonly string[]): TlsFiles {
    this.#openssl([
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-keyout', 'self.key', '-out', 'self.pem', '-days', '30', '-subj', subject],
      ...extensions.flatMap((one) => ['-addext', one]),
    ]);
    return {
      certificate: this.#path('self.pem'),
      key: this.#path('self.key'),
      ca: this.file,
      minVersion: '1.3',
    };
  }

  #path(name: string): string {
    return path.join(this.#folder, name);
  }

  #openssl(words: readonly string[]): void {
    execFileSync('openssl', words, { cwd: this.#folder, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}

/** As the settings of a program, for its environment. */
export function tlsEnvironment(files: TlsFiles): Record<string, string> {
  return {
    BLKFERRY_TLS_CERTIFICATE: files.certificate,
    BLKFERRY_TLS_KEY: files.key,
    BLKFERRY_TLS_CA: files.ca,
    BLKFERRY_TLS_MIN_VERSION: files.minVersion,
  };
}

/** A folder of credentials under the names that qemu's and libnbd's clients look for. @returns its path */
export function clientFolder(folder: string, files: TlsFiles): string {
  const made = fs.mkdtempSync(path.join(folder, 'client-'));
  fs.copyFileSync(files.ca, path.join(made, 'ca-cert.pem'));
  fs.copyFileSync(files.certificate, path.join(made, 'client-cert.pem'));
  fs.copyFileSync(files.key, path.join(made, 'client-key.pem'));
  return made;
}

/** UTCTime, as `openssl ca` takes it. */
function openSslTime(daysFromNow: number): string {
  const time = new Date(Date.now() + daysFromNow * DAY_MS).toISOString();
  return `${time.slice(2, 19).replace(/[-:T]/g, '')}Z`;
}
