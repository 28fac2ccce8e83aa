/** Both sides of the protocol against each other in memory: what one encodes, the other must understand. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ClientHandshake,
  NBD_CMD,
  NBD_CMD_FLAG,
  READ_HEADER_BYTES_MAX,
  ReplyStream,
  RequestStream,
  encodeBlockStatusReply,
  encodeErrorReply,
  encodeRequestHeader,
  writeDoneReply,
  writeReadHeader,
  writeReadPart,
  type ClientHandshakeOptions,
  type ClientOutcome,
  type NbdReply,
  type NbdRequest,
  type NegotiatedSession,
  type ReplyKind,
} from 'nbd-server-helpers';
import { pattern } from '#test/support/nbd-bytes.js';
import { EXPORTS, VOLUME, newServer } from './pretend-exports.js';

const GO: ClientHandshakeOptions = {
  exportName: '',
  purpose: 'go',
  replyKind: 'extended',
  metaContexts: ['base:allocation'],
  tls: 'preferred',
};

/** Carries bytes both ways until the client has its outcome; TLS is up as soon as both want it. */
function shakeHands(
  options: ClientHandshakeOptions,
  server = newServer(),
): { outcome: ClientOutcome; session: NegotiatedSession | undefined } {
  const client = new ClientHandshake(options);
  let session: NegotiatedSession | undefined;
  for (let toClient = server.begin(); ;) {
    let step = client.push(toClient);
    if (step.outcome?.kind === 'start-tls') step = client.tlsEstablished();
    if (step.outcome !== undefined) return { outcome: step.outcome, session };
    const answer = server.push(step.send);
    if (answer.outcome?.kind === 'start-tls') server.tlsEstablished();
    if (answer.outcome?.kind === 'transmission') session = answer.outcome.session;
    toClient = answer.send;
  }
}

const KINDS: readonly ReplyKind[] = ['simple', 'structured', 'extended'];

describe('ClientHandshake with ServerHandshake', () => {
  for (const replyKind of KINDS) {
    it(`agrees on ${replyKind} replies`, () => {
      const { outcome, session } = shakeHands({ ...GO, replyKind });
      assert.equal(outcome.kind, 'transmission');
      const names = replyKind === 'simple' ? [] : ['base:allocation'];
      assert.deepEqual(outcome.session, {
        ...session,
        facts: { ...session?.facts, metaContexts: names },
      });
      assert.equal(session?.replyKind, replyKind);
      assert.equal(session.facts.sizeBytes, VOLUME.sizeBytes);
    });
  }

  it('agrees inside of TLS where the server requires it', () => {
    const { outcome, session } = shakeHands(GO, newServer('required'));
    assert.equal(outcome.kind, 'transmission');
    assert.equal(session?.replyKind, 'extended');
  });

  it('is refused by a server that requires TLS, without it', () => {
    const { outcome } = shakeHands({ ...GO, tls: 'never' }, newServer('required'));
    assert.equal(outcome.kind, 'refused');
    assert.match(outcome.reason, /requires TLS/);
  });

  it('lists, asks and is told that an export is unknown', () => {
    const list = shakeHands({ ...GO, purpose: 'list' }).outcome;
    assert.deepEqual(
      list.kind === 'list' && list.exports.map(({ name }) => name),
      EXPORTS.list().map(({ name }) => name),
    );
    const info = shakeHands({ ...GO, purpose: 'info' }).outcome;
    assert.equal(info.kind === 'info' && info.facts.description, VOLUME.description);
    const refused = shakeHands({ ...GO, exportName: 'größe/2' }).outcome;
    assert.equal(
      refused.kind === 'refused' && refused.reason,
      "export 'größe/2': export 'größe/2' is not available",
    );
  });
});

/** What the pretend server does with each command, in one place. */
function reply(kind: ReplyKind, received: NbdRequest): Buffer {
  const { cookieHigh, cookieLow, offsetBytes, lengthBytes } = received;
  const target = Buffer.alloc(READ_HEADER_BYTES_MAX);
  switch (received.command) {
    case NBD_CMD.READ: {
      const end = writeReadHeader(kind, target, 0, cookieHigh, cookieLow, offsetBytes, lengthBytes);
      return Buffer.concat([target.subarray(0, end), pattern(lengthBytes)]);
    }
    case NBD_CMD.BLOCK_STATUS: {
      const extents = [{ lengthBytes, flags: 3 }];
      return encodeBlockStatusReply(kind, cookieHigh, cookieLow, 9, extents, offsetBytes);
    }
    case NBD_CMD.TRIM:
      return encodeErrorReply(kind, cookieHigh, cookieLow, 1, 'read-only', offsetBytes);
    default: {
      const end = writeDoneReply(kind, target, 0, cookieHigh, cookieLow, offsetBytes);
      return target.subarray(0, end);
    }
  }
}

function exchange(
  kind: ReplyKind,
  fields: Partial<NbdRequest>,
  data: Buffer = Buffer.alloc(0),
): [NbdRequest, NbdReply] {
  const header = {
    flags: 0,
    command: NBD_CMD.READ,
    cookieHigh: 0xdeadbeef,
    cookieLow: 0xffffffff,
    offsetBytes: 2 ** 33,
    lengthBytes: 4096,
    ...fields,
  };
  const isExtended = kind === 'extended';
  const requests = new RequestStream({ extendedHeaders: isExtended, payloadBytesMax: 8192 });
  const replies = new ReplyStream({
    replyKind: kind,
    payloadBytesMax: 8192,
    readRangeOf: () => (header.command === NBD_CMD.READ ? header : undefined),
  });
  const [received, ...others] = requests.push(
    Buffer.concat([encodeRequestHeader(header, isExtended), data]),
  );
  assert.ok(received !== undefined && others.length === 0);
  const [answer, ...chunks] = replies.push(reply(kind, received));
  assert.ok(answer !== undefined && chunks.length === 0);
  assert.equal(answer.cookieHigh, header.cookieHigh);
  assert.equal(answer.cookieLow, header.cookieLow);
  assert.equal(answer.isDone, true);
  return [received, answer];
}

describe('requests and replies of both sides', () => {
  for (const kind of KINDS) {
    it(`read with ${kind} replies`, () => {
      const [received, answer] = exchange(kind, {});
      assert.equal(received.offsetBytes, 2 ** 33);
      assert.deepEqual(Buffer.concat(answer.payload), pattern(4096));
      assert.equal(answer.offsetBytes, 2 ** 33);
    });

    it(`write with ${kind} replies`, () => {
      const fields = { command: NBD_CMD.WRITE, flags: NBD_CMD_FLAG.FUA, lengthBytes: 5000 };
      const [received, answer] = exchange(kind, fields, pattern(5000));
      assert.deepEqual(Buffer.concat(received.payload), pattern(5000));
      assert.equal(received.flags & NBD_CMD_FLAG.FUA, NBD_CMD_FLAG.FUA);
      assert.equal(answer.error, 0);
    });

    it(`are told of an error with ${kind} replies`, () => {
      const [, answer] = exchange(kind, { command: NBD_CMD.TRIM });
      assert.equal(answer.error, 1);
      assert.equal(answer.text, kind === 'simple' ? '' : 'read-only');
    });

    if (kind === 'simple') continue;
    it(`ask for block status with ${kind} replies`, () => {
      const [, answer] = exchange(kind, { command: NBD_CMD.BLOCK_STATUS });
      assert.equal(answer.contextId, 9);
      assert.deepEqual(answer.extents, [{ lengthBytes: 4096, flags: 3 }]);
    });

    it(`read a hole with ${kind} replies`, () => {
      const replies = new ReplyStream({
        replyKind: kind,
        payloadBytesMax: 0,
        readRangeOf: () => undefined,
      });
      const part = { isHole: true, offsetBytes: 2 ** 33, lengthBytes: 65536, isLast: true };
      const target = Buffer.alloc(100);
      const end = writeReadPart(kind, target, 0, 1, 2, 2 ** 33, part);
      const [answer] = replies.push(target.subarray(0, end));
      assert.equal(answer?.lengthBytes, 65536);
      assert.equal(answer.offsetBytes, 2 ** 33);
    });
  }
});
