/**
 * The transmission phase of NBD, both directions. Rules: only NbdProtocolError, the same however the bytes are
 * cut, and requests written again are the bytes that were read.
 */
import { deepStrictEqual } from 'node:assert/strict';
import {
  NbdProtocolError,
  ReplyStream,
  RequestStream,
  encodeRequestHeader,
  type NbdReply,
  type NbdRequest,
} from 'nbd-server-helpers';
import {
  READ,
  bytes,
  chunk,
  extendedRequest,
  request,
  simpleReply,
  u16,
  u32,
  u64,
  write,
} from '#test/support/nbd-bytes.js';
import { outcomeOf, require, type FuzzTarget } from '../fuzz-target.js';
import { choices, pieces } from './stream-pieces.js';

const PAYLOAD_BYTES_MAX = 1000;
const BYTES_MAX = 4096;
const WHOLE = Buffer.from([0, 255]);

/** What came out, or that the stream was refused; what a refused stream gave before does not count. */
type Outcome<Message> =
  { readonly messages: readonly Message[]; readonly incompleteBytes: number } | 'refused';

interface Stream<Message> {
  push(chunk: Buffer): Message[];
  readonly incompleteBytes: number;
}

function pushed<Message>(stream: Stream<Message>, parts: readonly Buffer[]): Outcome<Message> {
  const outcome = outcomeOf(() => parts.flatMap((part) => stream.push(part)), NbdProtocolError);
  if (outcome instanceof NbdProtocolError) return 'refused';
  return { messages: outcome, incompleteBytes: stream.incompleteBytes };
}

/** Payloads come in pieces that depend on the cuts. */
function joined<Message extends { readonly payload: readonly Buffer[] }>(
  outcome: Outcome<Message>,
): unknown {
  if (outcome === 'refused') return outcome;
  const messages = outcome.messages.map((one) => ({ ...one, payload: Buffer.concat(one.payload) }));
  return { ...outcome, messages };
}

function executeRequests(input: Buffer): void {
  const { form, cutting, wire } = choices(input);
  const extendedHeaders = form % 2 === 1;
  const make = (): RequestStream =>
    new RequestStream({ extendedHeaders, payloadBytesMax: PAYLOAD_BYTES_MAX });
  const whole = pushed<NbdRequest>(make(), [wire]);
  deepStrictEqual(joined(pushed<NbdRequest>(make(), pieces(wire, cutting))), joined(whole));
  if (whole === 'refused') return;
  const { messages } = whole;
  if (!messages.every((one) => isRepeatable(one))) return;
  const again = messages.flatMap((one) => [
    encodeRequestHeader(one, extendedHeaders),
    ...one.payload,
  ]);
  const read = wire.subarray(0, wire.length - whole.incompleteBytes);
  require(Buffer.concat(again).equals(read), 'requests written again are other bytes');
}

/** What is skipped is not kept, and numbers above 2^53 are rounded. */
function isRepeatable({
  oversized,
  offsetBytes,
  lengthBytes,
  flags,
  command,
}: NbdRequest): boolean {
  const isSkipped = oversized || ((flags & 0x20) !== 0 && command !== 1);
  return !isSkipped && Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(lengthBytes);
}

export const NBD_REQUESTS: FuzzTarget = {
  name: 'nbd-requests',
  bytesMax: BYTES_MAX,
  seeds: () => {
    const data = Buffer.alloc(512, 0xa5);
    const wires = [READ, write(data, 7n), { ...READ, command: 3 }, { ...READ, command: 2 }];
    const marked = { ...write(data, 9n), flags: 0x20 };
    return [
      bytes(WHOLE, ...wires.map(request)),
      bytes(Buffer.from([1, 3]), ...[READ, marked].map(extendedRequest)),
    ];
  },
  execute: executeRequests,
};

const REPLY_KINDS = ['simple', 'structured', 'extended'] as const;

function executeReplies(input: Buffer): void {
  const { form, cutting, wire } = choices(input);
  const replyKind = REPLY_KINDS[form % 3] ?? 'simple';
  const make = (): ReplyStream =>
    new ReplyStream({
      replyKind,
      payloadBytesMax: PAYLOAD_BYTES_MAX,
      // Reads have even cookies, and lengths that follow from them.
      readRangeOf: (_high, low) =>
        low % 2 === 0 ? { offsetBytes: low, lengthBytes: low % 1200 } : undefined,
    });
  const whole = pushed<NbdReply>(make(), [wire]);
  deepStrictEqual(joined(pushed<NbdReply>(make(), pieces(wire, cutting))), joined(whole));
  if (whole === 'refused') return;
  for (const { payload, lengthBytes, type } of whole.messages) {
    const payloadBytes = payload.reduce((sum, part) => sum + part.length, 0);
    require(payloadBytes <= PAYLOAD_BYTES_MAX, `${payloadBytes} bytes of payload were kept`);
    require(type !== 1 || payloadBytes === lengthBytes, 'data of another length than announced');
  }
}

export const NBD_REPLIES: FuzzTarget = {
  name: 'nbd-replies',
  bytesMax: BYTES_MAX,
  seeds: () => [
    bytes(
      Buffer.from([0, 255]),
      simpleReply(0, 1n),
      simpleReply(5, 2n),
      simpleReply(0, 4n),
      '1234',
    ),
    bytes(
      Buffer.from([1, 255]),
      chunk(0, 1, 1n, u64(0), Buffer.alloc(40, 5)),
      chunk(1, 2, 1n, u64(40), u32(24)),
      chunk(1, 5, 3n, u32(1), u32(512), u32(3)),
      chunk(1, 0x8002, 4n, u32(5), u16(4), 'lost', u64(1)),
    ),
    bytes(
      Buffer.from([2, 9]),
      Buffer.from('6e8a278c0001000600000000000000030000000000000000', 'hex'),
      u64(24),
      u32(1),
      u32(1),
      u64(512),
      u64(3),
    ),
  ],
  execute: executeReplies,
};
