/**
 * Both sides of the NBD handshake. Rules: only NbdProtocolError, the same answers however the bytes are cut,
 * and no more bytes sent than the handshake's own limit.
 */
import { deepStrictEqual } from 'node:assert/strict';
import {
  ClientHandshake,
  HANDSHAKE_SENT_BYTES_MAX,
  NbdProtocolError,
  ServerHandshake,
  type ExportFacts,
} from 'nbd-server-helpers';
import {
  GREETING,
  bytes,
  option,
  optionReply,
  text,
  u16,
  u32,
  u64,
} from '#test/support/nbd-bytes.js';
import { outcomeOf, require, type FuzzTarget } from '../fuzz-target.js';
import { choices, pieces } from './stream-pieces.js';

const BYTES_MAX = 4096;

const FACTS: ExportFacts = {
  name: 'vol0',
  sizeBytes: 4096,
  transmissionFlags: 1,
  minimumBlockBytes: 1,
  preferredBlockBytes: 4096,
  maximumPayloadBytes: 4096,
  metaContexts: ['base:allocation'],
};

interface Step {
  readonly send: Buffer;
  readonly outcome: { readonly kind: string } | undefined;
}

interface Side {
  push(chunk: Buffer): Step;
}

/** Everything that a side does with the bytes; what a refused peer was sent before does not count. */
function conversation(side: Side, parts: readonly Buffer[]): unknown {
  const sent: Buffer[] = [];
  let outcome: Step['outcome'];
  let given = 0;
  const refusal = outcomeOf(() => {
    for (const part of parts) {
      given += part.length;
      const step = side.push(part);
      sent.push(step.send);
      outcome = step.outcome;
      // Plain text behind 'start-tls' is refused; the rest of a handshake in TLS is a form of its own.
      if (outcome !== undefined && outcome.kind !== 'start-tls') break;
    }
  }, NbdProtocolError);
  if (refusal instanceof NbdProtocolError) return 'refused';
  const bytesSent = Buffer.concat(sent);
  require(bytesSent.length <=
    HANDSHAKE_SENT_BYTES_MAX + 1024 * 1024, `${bytesSent.length} bytes were sent`);
  return { sent: bytesSent, end: described(outcome, given) };
}

/** How much was left over depends on what had been given. */
function described(outcome: Step['outcome'], givenBytes: number): unknown {
  if (outcome === undefined || !('leftover' in outcome)) return outcome;
  const { leftover, ...rest } = outcome as { leftover: Buffer };
  return { ...rest, usedBytes: givenBytes - leftover.length };
}

const TLS_MODES = ['unavailable', 'offered', 'required'] as const;

function executeServer(input: Buffer): void {
  const { form, cutting, wire } = choices(input);
  const make = (): Side => {
    const server = new ServerHandshake({
      exports: {
        list: () => [FACTS],
        find: (name) => (name === 'vol0' || name === '' ? FACTS : undefined),
      },
      tls: TLS_MODES[form % 3] ?? 'unavailable',
      extendedHeaders: form >= 128,
    });
    server.begin();
    if (form >= 64 && form % 3 > 0) {
      server.push(bytes(u32(1), option(5)));
      server.tlsEstablished();
    }
    return server;
  };
  deepStrictEqual(conversation(make(), pieces(wire, cutting)), conversation(make(), [wire]));
}

export const NBD_SERVER_HANDSHAKE: FuzzTarget = {
  name: 'nbd-server-handshake',
  bytesMax: BYTES_MAX,
  words: ['IHAVEOPT', 'base:allocation', 'base:', 'vol0'],
  seeds: () => {
    const all = [
      u32(3),
      option(8),
      option(11),
      option(3),
      option(9, text('vol0'), u32(1), text('base:')),
      option(10, text('vol0'), u32(1), text('base:allocation')),
      option(6, text('vol0'), u16(2), u16(1), u16(3)),
      option(7, text('vol0'), u16(0)),
    ];
    return [
      bytes(Buffer.from([128, 255]), ...all),
      bytes(Buffer.from([1, 255]), u32(1), option(5), option(2)),
      bytes(Buffer.from([0, 5]), u32(1), option(1, 'vol0')),
      // TLS is up.
      bytes(Buffer.from([130, 255]), ...all.slice(1)),
    ];
  },
  execute: executeServer,
};

const PURPOSES = ['go', 'info', 'list'] as const;
const KINDS = ['simple', 'structured', 'extended'] as const;
const CLIENT_TLS = ['never', 'preferred', 'required'] as const;

function executeClient(input: Buffer): void {
  const { form, cutting, wire } = choices(input);
  const make = (): Side => {
    const client = new ClientHandshake({
      exportName: 'vol0',
      purpose: PURPOSES[form % 3] ?? 'go',
      replyKind: KINDS[Math.floor(form / 3) % 3] ?? 'extended',
      metaContexts: ['base:allocation'],
      tls: CLIENT_TLS[Math.floor(form / 9) % 3] ?? 'never',
    });
    if (form >= 64 && Math.floor(form / 9) % 3 > 0) {
      client.push(bytes(GREETING, optionReply(5, 1)));
      client.tlsEstablished();
    }
    return client;
  };
  deepStrictEqual(conversation(make(), pieces(wire, cutting)), conversation(make(), [wire]));
}

/** NBD_REP_INFO with NBD_INFO_EXPORT, then the acknowledgement. */
const GO_REPLIES = [
  optionReply(7, 3, u16(0), u64(4096), u16(1)),
  optionReply(7, 3, u16(3), u32(1), u32(4096), u32(65536)),
  optionReply(7, 1),
];

export const NBD_CLIENT_HANDSHAKE: FuzzTarget = {
  name: 'nbd-client-handshake',
  bytesMax: BYTES_MAX,
  words: ['NBDMAGIC', 'IHAVEOPT', 'base:allocation', 'vol0'],
  seeds: () => [
    bytes(
      Buffer.from([6, 255]),
      GREETING,
      optionReply(11, 1),
      optionReply(10, 4, u32(1), 'base:allocation'),
      optionReply(10, 1),
      ...GO_REPLIES,
    ),
    bytes(Buffer.from([0, 255]), GREETING, ...GO_REPLIES),
    bytes(
      Buffer.from([2, 3]),
      GREETING,
      optionReply(3, 2, text('vol0')),
      optionReply(3, 2, text('vol1'), 'more'),
      optionReply(3, 1),
    ),
    bytes(Buffer.from([1, 7]), GREETING, optionReply(6, 0x80000006, 'no such export')),
    bytes(Buffer.from([15, 255]), GREETING, optionReply(5, 1)),
    // TLS is up, extended replies are wanted, the export is entered.
    bytes(
      Buffer.from([96, 255]),
      optionReply(11, 1),
      optionReply(10, 4, u32(1), 'base:allocation'),
      optionReply(10, 1),
      ...GO_REPLIES,
    ),
    // Old: only NBD_OPT_EXPORT_NAME.
    bytes(
      Buffer.from([0, 255]),
      GREETING.subarray(0, 16),
      u16(0),
      u64(4096),
      u16(1),
      Buffer.alloc(124),
    ),
  ],
  execute: executeClient,
};
