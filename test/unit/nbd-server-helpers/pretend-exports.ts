/** Two exports for handshake tests, and short ways to talk to a server that has them. */
import assert from 'node:assert/strict';
import type { ExportDirectory, ExportFacts, TlsMode } from 'nbd-server-helpers';
import { ServerHandshake } from 'nbd-server-helpers';
import {
  GREETING,
  bytes,
  cuts,
  hex,
  option,
  optionReply,
  text,
  u16,
  u32,
} from '#test/support/nbd-bytes.js';

/** HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES, CAN_MULTI_CONN, SEND_FAST_ZERO. */
export const FLAGS = 0x0001 | 0x0004 | 0x0008 | 0x0020 | 0x0040 | 0x0100 | 0x0800;
export const FLAG_DF = 0x0080;

export const VOLUME: ExportFacts = {
  name: 'vol0',
  sizeBytes: 2 ** 40 + 512,
  transmissionFlags: FLAGS | FLAG_DF,
  minimumBlockBytes: 512,
  preferredBlockBytes: 65536,
  maximumPayloadBytes: 32 * 1024 * 1024,
  description: 'the first volume',
  metaContexts: ['base:allocation', 'x-blkferry:age'],
};

/** Has a name beyond ASCII, no description and no contexts. */
export const PLAIN_VOLUME: ExportFacts = {
  name: 'größe/1',
  sizeBytes: 4096,
  transmissionFlags: 0x0002,
  minimumBlockBytes: 1,
  preferredBlockBytes: 4096,
  maximumPayloadBytes: 65536,
  metaContexts: [],
};

/** 'vol0' is the default export too. */
export const EXPORTS: ExportDirectory = {
  list: () => [VOLUME, PLAIN_VOLUME],
  find: (name) => {
    if (name === '' || name === VOLUME.name) return VOLUME;
    return name === PLAIN_VOLUME.name ? PLAIN_VOLUME : undefined;
  },
};

export function newServer(tls: TlsMode = 'unavailable', extendedHeaders = true): ServerHandshake {
  return new ServerHandshake({ exports: EXPORTS, tls, extendedHeaders });
}

/** What one client sends in a whole conversation gets: everything sent, the last outcome. */
export function talk(
  server: ServerHandshake,
  chunks: readonly Buffer[],
): { sent: Buffer; outcome: ReturnType<ServerHandshake['push']>['outcome'] } {
  const sent: Buffer[] = [server.begin()];
  let outcome: ReturnType<ServerHandshake['push']>['outcome'];
  for (const [index, chunk] of chunks.entries()) {
    const step = server.push(chunk);
    sent.push(step.send);
    outcome = step.outcome;
    if (outcome?.kind !== 'transmission') continue;
    // What the handshake did not see yet is part of what follows it too.
    const leftover = bytes(outcome.leftover, ...chunks.slice(index + 1));
    return { sent: bytes(...sent), outcome: { ...outcome, leftover } };
  }
  return { sent: bytes(...sent), outcome };
}

/** Client flags FIXED_NEWSTYLE and NO_ZEROES. */
export const CLIENT_FLAGS = u32(3);

export { GREETING };

/** @returns number and type of the replies, and that the texts of errors are not empty */
export function repliesIn(sent: Buffer): [option: number, type: number][] {
  const replies: [number, number][] = [];
  for (let at = 0; at < sent.length; at += 20 + sent.readUInt32BE(at + 16)) {
    assert.deepEqual(sent.subarray(at, at + 8), hex('0003e889045565a9'));
    const type = sent.readUInt32BE(at + 12);
    if (type > 0x80000000) assert.ok(sent.readUInt32BE(at + 16) > 10, 'an error has a text');
    replies.push([sent.readUInt32BE(at + 8), type]);
  }
  return replies;
}

/** A server that has sent its greeting and got the client's flags. */
export function begun(tls: TlsMode = 'unavailable'): ServerHandshake {
  const server = newServer(tls);
  server.begin();
  server.push(CLIENT_FLAGS);
  return server;
}

/** INFO or GO. */
export function go(number: number, name: string, ...infos: readonly number[]): Buffer {
  return option(number, text(name), u16(infos.length), ...infos.map(u16));
}

/** LIST_META_CONTEXT or SET_META_CONTEXT. */
export function meta(number: number, name: string, ...queries: readonly string[]): Buffer {
  return option(number, text(name), u32(queries.length), ...queries.map(text));
}

/** Everything sent behind the greeting; the same wherever the client's bytes are cut. */
export function answers(...options: readonly Buffer[]): Buffer {
  const wire = bytes(CLIENT_FLAGS, ...options);
  const expected = talk(newServer(), [wire]).sent.subarray(GREETING.length);
  if (wire.length > 2000) return expected;
  for (const chunks of cuts(wire)) {
    assert.deepEqual(talk(newServer(), chunks).sent.subarray(GREETING.length), expected);
  }
  return expected;
}

/** Asserts that the last reply is this error, and that the negotiation goes on behind it. */
export function assertError(number: number, type: number, ...options: readonly Buffer[]): void {
  const sent = answers(...options, option(99));
  const before = answers(...options.slice(0, -1));
  const reply = sent.subarray(before.length);
  assert.deepEqual(reply.subarray(0, 16), optionReply(number, type).subarray(0, 16));
  const next = reply.subarray(20 + reply.readUInt32BE(16));
  assert.deepEqual(next.subarray(0, 16), optionReply(99, 0x80000001).subarray(0, 16));
}

/** What is agreed on when these options lead to transmission. */
export function sessionOf(...options: readonly Buffer[]): {
  replyKind: string;
  extendedHeaders: boolean;
  metaContexts: readonly object[];
  flags: number;
} {
  const { outcome } = talk(newServer(), [CLIENT_FLAGS, ...options]);
  assert.equal(outcome?.kind, 'transmission');
  const { replyKind, extendedHeaders, metaContexts, facts } = outcome.session;
  return { replyKind, extendedHeaders, metaContexts, flags: facts.transmissionFlags };
}
