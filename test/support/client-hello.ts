/** What TLS clients say first: OpenSSL's own bytes, and such as are put together here piece by piece. */
import { Duplex } from 'node:stream';
import tls from 'node:tls';

/** As OpenSSL says it. */
export function opensslHello(protocols: string[]): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        resolve(chunk);
        done();
      },
    });
    const client = tls.connect({ socket, ALPNProtocols: protocols });
    client.on('error', () => undefined);
  });
}

/** Behind a length of so many bytes. */
export function vector(lengthBytes: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(content.length, 0, lengthBytes);
  return Buffer.concat([length, content]);
}

export function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 0xff]), vector(2, content)]);
}

export function alpn(...names: readonly string[]): Buffer {
  return extension(16, vector(2, ...names.map((name) => vector(1, Buffer.from(name)))));
}

/** The handshake message, without a record around it. */
export function hello(...extensions: readonly Buffer[]): Buffer {
  const body = Buffer.concat([
    Buffer.from('0303', 'hex'),
    Buffer.alloc(32, 7),
    vector(1, Buffer.alloc(32, 8)),
    vector(2, Buffer.from('1301', 'hex')),
    vector(1, Buffer.from([0])),
    vector(2, ...extensions),
  ]);
  return Buffer.concat([Buffer.from([1]), vector(3, body)]);
}

export function record(...content: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from('160301', 'hex'), vector(2, ...content)]);
}
