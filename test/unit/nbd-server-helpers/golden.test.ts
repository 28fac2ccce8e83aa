/**
 * Recorded conversations replayed: what other programs sent must be understood, and where two answers
 * are not possible, ours must be theirs byte by byte. The files in test/golden say where they come from.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  ClientHandshake,
  NBD_CMD,
  READ_HEADER_BYTES_MAX,
  ReplyStream,
  RequestStream,
  ServerHandshake,
  encodeBlockStatusReply,
  encodeErrorReply,
  encodeRequestHeader,
  writeDoneReply,
  writeReadHeader,
  type ExportFacts,
  type NbdReply,
  type NbdRequest,
  type NegotiatedSession,
  type ReplyKind,
} from 'nbd-server-helpers';
import { bytes, hex, optionReply, u16, u32 } from '#test/support/nbd-bytes.js';

interface Conversation {
  /** What each side sent in the handshake, and behind it. */
  readonly handshake: { readonly client: Buffer; readonly server: Buffer };
  readonly transmission: { readonly client: Buffer; readonly server: Buffer };
}

function readGolden(name: string): Conversation {
  const lines = readFileSync(new URL(`../../../golden/${name}`, import.meta.url), 'utf8').split(
    '\n',
  );
  const middle = lines.indexOf('== transmission');
  assert.ok(middle > 0, `${name} has no line "== transmission"`);
  const sentBy = (side: string, part: readonly string[]): Buffer =>
    bytes(
      ...part
        .filter((line) => line.startsWith(`${side} `))
        .map((line) => decodeLine(line.slice(2))),
    );
  const both = (part: readonly string[]): Conversation['handshake'] => ({
    client: sentBy('C', part),
    server: sentBy('S', part),
  });
  return { handshake: both(lines.slice(0, middle)), transmission: both(lines.slice(middle)) };
}

/** Hexadecimal words, and runs like (a5)x512. */
function decodeLine(line: string): Buffer {
  const words = line.split(' ').map((word) => {
    const run = /^\(([0-9a-f]{2})\)x(\d+)$/.exec(word);
    return run === null ? hex(word) : Buffer.alloc(Number(run[2]), hex(run[1] ?? ''));
  });
  return bytes(...words);
}

const MEMORY_64K: ExportFacts = {
  name: '',
  sizeBytes: 65536,
  transmissionFlags: 0x0ded,
  minimumBlockBytes: 1,
  preferredBlockBytes: 4096,
  maximumPayloadBytes: 32 * 1024 * 1024,
  metaContexts: ['base:allocation'],
};

const V: ExportFacts = {
  name: 'v',
  sizeBytes: 2 ** 40,
  transmissionFlags: 0x00ed,
  minimumBlockBytes: 512,
  preferredBlockBytes: 4096,
  maximumPayloadBytes: 1024 * 1024,
  metaContexts: ['base:allocation'],
};

/** The server's side, byte by byte. */
function serve(facts: ExportFacts, client: Buffer): { sent: Buffer; session: NegotiatedSession } {
  const server = new ServerHandshake({
    exports: { list: () => [facts], find: (name) => (name === facts.name ? facts : undefined) },
    tls: 'unavailable',
    extendedHeaders: true,
  });
  let sent = server.begin();
  for (const byte of client) {
    const { send, outcome } = server.push(Buffer.from([byte]));
    sent = bytes(sent, send);
    if (outcome?.kind === 'transmission') return { sent, session: outcome.session };
  }
  throw new assert.AssertionError({ message: 'the handshake did not end in transmission' });
}

function requestsIn(client: Buffer, extendedHeaders: boolean): NbdRequest[] {
  return new RequestStream({ extendedHeaders, payloadBytesMax: 4096 }).push(client);
}

/** A request in a line: command, flags, offset, length, first byte of its data. */
function inShort({ command, flags, offsetBytes, lengthBytes, payload }: NbdRequest): string {
  return [command, flags, offsetBytes, lengthBytes, payload[0]?.[0] ?? '-'].join(' ');
}

/** A disk that holds the same byte everywhere and is all holes. */
function answer(kind: ReplyKind, request: NbdRequest, content: number, facts: ExportFacts): Buffer {
  const { command, cookieHigh, cookieLow, offsetBytes, lengthBytes } = request;
  if (offsetBytes + lengthBytes > facts.sizeBytes) {
    return encodeErrorReply(kind, cookieHigh, cookieLow, 22, 'end', offsetBytes);
  }
  if (command === NBD_CMD.BLOCK_STATUS) {
    const extents = [{ lengthBytes, flags: 3 }];
    return encodeBlockStatusReply(kind, cookieHigh, cookieLow, 1, extents, offsetBytes);
  }
  const target = Buffer.alloc(READ_HEADER_BYTES_MAX);
  if (command === NBD_CMD.READ) {
    const end = writeReadHeader(kind, target, 0, cookieHigh, cookieLow, offsetBytes, lengthBytes);
    return bytes(target.subarray(0, end), Buffer.alloc(lengthBytes, content));
  }
  const end = writeDoneReply(kind, target, 0, cookieHigh, cookieLow, offsetBytes);
  return target.subarray(0, end);
}

describe('golden: qemu-io with structured replies', () => {
  const { handshake, transmission } = readGolden('qemu-io-structured.txt');

  it('our server answers as nbdkit did, and tells the block sizes besides', () => {
    const { sent, session } = serve(MEMORY_64K, handshake.client);
    const blockSizes = optionReply(7, 3, u16(3), u32(1), u32(4096), u32(0x2000000));
    const ack = optionReply(7, 1);
    const recorded = handshake.server.subarray(0, handshake.server.length - ack.length);
    assert.deepEqual(sent, bytes(recorded, blockSizes, ack));
    assert.equal(session.replyKind, 'structured');
    assert.deepEqual(session.metaContexts, [{ id: 1, name: 'base:allocation' }]);
  });

  it('its requests are understood', () => {
    assert.deepEqual(requestsIn(transmission.client, false).map(inShort), [
      '1 1 4096 512 165',
      '0 0 4096 512 -',
      '6 1 8192 4096 -',
      '7 8 0 65536 -',
      '7 8 32768 32768 -',
      '3 0 0 0 -',
      '3 0 0 0 -',
      '2 0 0 0 -',
    ]);
  });

  it("nbdkit's mixture of simple and structured replies is understood", () => {
    const replies = new ReplyStream({
      replyKind: 'structured',
      payloadBytesMax: 4096,
      readRangeOf: () => undefined,
    }).push(transmission.server);
    const short = ({ type, error, lengthBytes, extents }: NbdReply): string =>
      [type, error, lengthBytes, ...extents.map(({ flags }) => flags)].join(' ');
    assert.deepEqual(replies.map(short), [
      '0 0 0',
      '1 0 512',
      '0 0 0',
      '5 0 0 0',
      '5 0 0 3',
      '0 0 0',
      '0 0 0',
    ]);
  });
});

describe('golden: libnbd with EXPORT_NAME and simple replies', () => {
  const { handshake, transmission } = readGolden('libnbd-export-name.txt');

  it('our server answers as nbdkit did, byte by byte', () => {
    const { sent, session } = serve(MEMORY_64K, handshake.client);
    assert.deepEqual(sent, handshake.server);
    const requests = requestsIn(transmission.client, session.extendedHeaders);
    const replies = requests
      .filter(({ command }) => command !== NBD_CMD.DISC)
      .map((request) => answer(session.replyKind, request, 0x5a, MEMORY_64K));
    assert.deepEqual(bytes(...replies), transmission.server);
  });
});

describe('golden: extended headers', () => {
  const { handshake, transmission } = readGolden('extended-headers.txt');

  it('our server answers byte by byte', () => {
    const { sent, session } = serve(V, handshake.client);
    assert.deepEqual(sent, handshake.server);
    const requests = requestsIn(transmission.client, session.extendedHeaders);
    const replies = requests
      .filter(({ command }) => command !== NBD_CMD.DISC)
      .map((request) => answer(session.replyKind, request, 0xa5, V));
    assert.deepEqual(bytes(...replies), transmission.server);
  });

  it('our client asks byte by byte', () => {
    const client = new ClientHandshake({
      exportName: 'v',
      purpose: 'go',
      replyKind: 'extended',
      metaContexts: ['base:allocation'],
      tls: 'never',
    });
    const sent = Array.from(handshake.server, (byte) => client.push(Buffer.from([byte])).send);
    assert.deepEqual(bytes(...sent), handshake.client);

    const requests = requestsIn(transmission.client, true);
    const encoded = requests.map((request) =>
      bytes(encodeRequestHeader(request, true), ...request.payload),
    );
    assert.deepEqual(bytes(...encoded), transmission.client);
  });

  it('our client understands every reply', () => {
    const replies = new ReplyStream({
      replyKind: 'extended',
      payloadBytesMax: 4096,
      readRangeOf: () => undefined,
    }).push(transmission.server);
    const short = ({ cookieHigh, cookieLow, type, error, text }: NbdReply): string =>
      `${cookieHigh.toString(16)} ${cookieLow} ${type} ${error} ${text}`;
    assert.deepEqual(replies.map(short), [
      '80000000 1 0 0 ',
      '80000000 2 1 0 ',
      '80000000 3 0 0 ',
      '80000000 4 6 0 ',
      '80000000 5 32769 22 end',
      '80000000 6 0 0 ',
    ]);
  });
});
