/**
 * Peers that do not speak NBD, or do so badly, before they have chosen an export. Method: raw sockets
 * against the running programs; for each mistake the answer that proto.md asks for, and afterwards a
 * proper client is served as if nothing had been.
 */
import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, before, describe, it } from 'node:test';
import { GREETING, READ, hex, option, request, text, u16, u32 } from '#test/support/nbd-bytes.js';
import type { NbdExport } from '#test/support/nbd-server-interface.js';
import { nbdServerForSuite } from '#test/support/nbd-server.js';
import { CLIENT_FLAGS, RawConnection, go } from './raw-connection.js';

const MIB = 1024 * 1024;

/** Short, so that the test of it is; the others need milliseconds. */
const HANDSHAKE_TIMEOUT_MS = 2000;

const OPT = { exportName: 1, list: 3, startTls: 5, info: 6, go: 7 } as const;

const REP = {
  ack: 1,
  errUnsup: 0x8000_0001,
  errPolicy: 0x8000_0002,
  errInvalid: 0x8000_0003,
  errUnknown: 0x8000_0006,
  errTooBig: 0x8000_0009,
} as const;

describe('a peer that negotiates badly', () => {
  const server = nbdServerForSuite({
    daemon: { BLKFERRY_NBD_HANDSHAKE_TIMEOUT: `${HANDSHAKE_TIMEOUT_MS}ms` },
  });
  let disk: NbdExport;

  before(async () => {
    disk = await server().newExport({ sizeBytes: MIB });
  });

  afterEach(async () => {
    const proper = await RawConnection.inTransmission(disk.socketPath, disk.name);
    proper.send(request({ ...READ, length: 512 }));
    const reply = await proper.receive(16 + 512);
    assert.equal(reply.readUInt32BE(4), 0, 'a proper client must be served');
    proper.close();
  });

  const greeted = (): Promise<RawConnection> => RawConnection.greeted(disk.socketPath);

  /** The negotiation goes on: an export can still be chosen. */
  async function expectStillNegotiating(peer: RawConnection): Promise<void> {
    peer.send(go(disk.name));
    await peer.receiveUntilAcknowledged(OPT.go);
    peer.close();
  }

  async function expectClosedWithoutAnswer(peer: RawConnection): Promise<void> {
    assert.deepEqual(await peer.receiveUntilClosed(), Buffer.alloc(0));
    peer.close();
  }

  it('is disconnected if it sets client flags that nobody defined', async () => {
    const peer = await RawConnection.open(disk.socketPath);
    assert.deepEqual(await peer.receive(GREETING.length), GREETING);
    peer.send(u32(0x80));
    await expectClosedWithoutAnswer(peer);
  });

  it('is disconnected if an option begins with a wrong magic', async () => {
    const peer = await greeted();
    peer.send(hex('49484156454f5055'), u32(OPT.list), u32(0));
    await expectClosedWithoutAnswer(peer);
  });

  it('is disconnected if it sends requests before it has negotiated', async () => {
    const peer = await RawConnection.open(disk.socketPath);
    assert.deepEqual(await peer.receive(GREETING.length), GREETING);
    peer.send(request(READ));
    await expectClosedWithoutAnswer(peer);
  });

  it('is disconnected if it sends requests where an option belongs', async () => {
    const peer = await greeted();
    peer.send(request(READ));
    await expectClosedWithoutAnswer(peer);
  });

  it('is told that an option is unsupported, and may go on', async () => {
    const peer = await greeted();
    peer.send(option(4242, Buffer.alloc(1000, 0x41)));
    assert.equal((await peer.receiveOptionReply(4242)).type, REP.errUnsup);
    await expectStillNegotiating(peer);
  });

  it('is told that TLS is not to be had, and may go on', async () => {
    const peer = await greeted();
    peer.send(option(OPT.startTls));
    const { type } = await peer.receiveOptionReply(OPT.startTls);
    assert(
      [REP.errPolicy, REP.errUnsup].some((one) => one === type),
      `type ${type}`,
    );
    await expectStillNegotiating(peer);
  });

  it('is told that option data is too big, and may go on', async () => {
    const peer = await greeted();
    peer.send(option(OPT.go, Buffer.alloc(MIB)));
    assert.equal((await peer.receiveOptionReply(OPT.go)).type, REP.errTooBig);
    await expectStillNegotiating(peer);
  });

  it('is disconnected if it announces option data without end', async () => {
    const peer = await greeted();
    peer.send(hex('49484156454f5054'), u32(4242), u32(0xffff_ffff));
    await expectClosedWithoutAnswer(peer);
  });

  it('is told that option data is invalid, and may go on', async () => {
    const peer = await greeted();
    for (const data of [u32(0xffff_ffff), Buffer.alloc(0), Buffer.from([0, 0, 0])]) {
      peer.send(option(OPT.go, data));
      assert.equal((await peer.receiveOptionReply(OPT.go)).type, REP.errInvalid);
    }
    peer.send(option(OPT.list, 'data where none belongs'));
    assert.equal((await peer.receiveOptionReply(OPT.list)).type, REP.errInvalid);
    await expectStillNegotiating(peer);
  });

  it('is told that an export name is longer than any, and may go on', async () => {
    const peer = await greeted();
    peer.send(option(OPT.info, text('x'.repeat(4097)), u16(0)));
    const { type } = await peer.receiveOptionReply(OPT.info);
    assert(
      [REP.errInvalid, REP.errTooBig].some((one) => one === type),
      `type ${type}`,
    );
    await expectStillNegotiating(peer);
  });

  it('is told that there is no such export, and may go on', async () => {
    const peer = await greeted();
    peer.send(go('no such export'));
    assert.equal((await peer.receiveOptionReply(OPT.go)).type, REP.errUnknown);
    await expectStillNegotiating(peer);
  });

  it('is disconnected if it asks for an unknown or overlong name by NBD_OPT_EXPORT_NAME, which has no error reply', async () => {
    for (const name of ['no such export', 'x'.repeat(4097)]) {
      const peer = await greeted();
      peer.send(option(OPT.exportName, name));
      await expectClosedWithoutAnswer(peer);
    }
  });

  it('may ask a hundred questions, and is disconnected after a flood of them', async () => {
    const peer = await greeted();
    const question = option(OPT.info, text('nothing'), u16(0));
    for (let count = 0; count < 100; count += 1) {
      peer.send(question);
      assert.equal((await peer.receiveOptionReply(OPT.info)).type, REP.errUnknown);
    }
    peer.send(...Array.from({ length: 5000 }, () => question));
    const answers = await peer.receiveUntilClosed();
    assert(answers.length < 5000 * 20, `${answers.length} bytes of answers`);
    peer.close();
  });

  it('is disconnected if it says nothing, or dawdles, beyond the time limit', async () => {
    const silent = await RawConnection.open(disk.socketPath);
    const dawdling = await greeted();
    const startMs = performance.now();
    const flood = option(4242, Buffer.alloc(1000));
    for (let at = 0; at < flood.length && !dawdling.isClosed; at += 1) {
      dawdling.send(flood.subarray(at, at + 1));
      await wait(20);
    }
    await dawdling.receiveUntilClosed();
    assert.deepEqual(await silent.receiveUntilClosed(), GREETING);
    const passedMs = performance.now() - startMs;
    assert(passedMs < HANDSHAKE_TIMEOUT_MS * 3, `closed after ${passedMs} ms`);
    silent.close();
    dawdling.close();
  });

  it('may send its whole handshake and its first request at once', async () => {
    const peer = await RawConnection.open(disk.socketPath);
    peer.send(CLIENT_FLAGS, go(disk.name), request({ ...READ, length: 512 }));
    assert.deepEqual(await peer.receive(GREETING.length), GREETING);
    await peer.receiveUntilAcknowledged(OPT.go);
    assert.equal((await peer.receive(16 + 512)).readUInt32BE(0), 0x67446698);
    peer.close();
  });

  it('may send byte after byte', async () => {
    const peer = await RawConnection.open(disk.socketPath);
    const everything = Buffer.concat([CLIENT_FLAGS, go(disk.name), request(READ)]);
    for (const byte of everything) {
      peer.send(Buffer.from([byte]));
      // Each byte in a chunk of its own.
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
    }
    assert.deepEqual(await peer.receive(GREETING.length), GREETING);
    await peer.receiveUntilAcknowledged(OPT.go);
    assert.equal((await peer.receive(16 + 512)).readUInt32BE(0), 0x67446698);
    peer.close();
  });
});
