/**
 * Socket pairs as the kernel's devices use them, and datagrams as service managers do. Node cannot receive
 * those: that they arrive is seen in kmod/addon/test.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, it } from 'node:test';
import { duplicateFd, sendDatagram, socketPair } from 'blkferry-kernel';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const folder = temporaryFolder();

/** Flags of an open file, as open(2) has them; close-on-exec is among them. */
function flagsOf(fd: number): number {
  const info = fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
  return Number.parseInt(/^flags:\s+([0-7]+)$/m.exec(info)?.[1] ?? '', 8);
}

const O_CLOEXEC = 0o2000000;

describe('socketPair', () => {
  it('gives two connected ends, and no other program inherits them', () => {
    const [kernelEnd, daemonEnd] = socketPair();
    fs.writeSync(kernelEnd, 'asked');
    const heard = Buffer.alloc(16);
    assert.equal(fs.readSync(daemonEnd, heard), 5);
    assert.equal(flagsOf(kernelEnd) & O_CLOEXEC, O_CLOEXEC);
    assert.equal(flagsOf(daemonEnd) & O_CLOEXEC, O_CLOEXEC);
    fs.closeSync(kernelEnd);
    fs.closeSync(daemonEnd);
  });

  it('waits at the end for the kernel, and never at ours', () => {
    const [kernelEnd, daemonEnd] = socketPair();
    assert.equal(flagsOf(kernelEnd) & fs.constants.O_NONBLOCK, 0);
    assert.throws(() => fs.readSync(daemonEnd, Buffer.alloc(1)), { code: 'EAGAIN' });
    fs.closeSync(kernelEnd);
    fs.closeSync(daemonEnd);
  });

  it('works as a socket of Node, which hears when the other end is closed', async () => {
    const [kernelEnd, daemonEnd] = socketPair();
    const socket = new net.Socket({ fd: daemonEnd, readable: true, writable: true });
    socket.resume();
    await new Promise((resolve) => socket.write('answer', resolve));
    const heard = Buffer.alloc(16);
    assert.equal(fs.readSync(kernelEnd, heard), 6);
    fs.closeSync(kernelEnd);
    await once(socket, 'close');
  });
});

describe('sendDatagram', () => {
  it('says which error came of a path where nobody listens', () => {
    assert.throws(
      () => {
        sendDatagram(path.join(folder, 'nobody'), 'READY=1');
      },
      { code: 'ENOENT', errno: -2, syscall: 'sendto' },
    );
    assert.throws(
      () => {
        sendDatagram(`@blkferry-test-${process.pid}`, 'READY=1');
      },
      { code: 'ECONNREFUSED' },
    );
    const stream = path.join(folder, 'stream');
    fs.writeFileSync(stream, '');
    assert.throws(
      () => {
        sendDatagram(stream, 'READY=1');
      },
      { code: 'ECONNREFUSED' },
    );
  });

  it('refuses what cannot be an address or a message', () => {
    const call = sendDatagram as (...values: unknown[]) => void;
    for (const wrong of ['', 'x'.repeat(108), '@a\0b']) {
      assert.throws(() => {
        call(wrong, 'READY=1');
      }, RangeError);
    }
    assert.throws(() => {
      call('/run/x', 1);
    }, TypeError);
    assert.throws(() => {
      call('/run/x', 'x'.repeat(65_537));
    }, RangeError);
    assert.throws(() => {
      call('/run/x');
    }, TypeError);
  });
});

describe('duplicateFd', () => {
  it('gives a second descriptor of the same socket, which no other program inherits', () => {
    const [kernelEnd, daemonEnd] = socketPair();
    const copy = duplicateFd(daemonEnd);
    assert.notEqual(copy, daemonEnd);
    assert.equal(flagsOf(copy) & O_CLOEXEC, O_CLOEXEC);
    fs.closeSync(daemonEnd);
    fs.writeSync(kernelEnd, 'asked');
    assert.equal(fs.readSync(copy, Buffer.alloc(16)), 5);
    fs.closeSync(kernelEnd);
    fs.closeSync(copy);
  });

  it('says that there is no such descriptor', () => {
    assert.throws(() => duplicateFd(1_000_000), { code: 'EBADF', syscall: 'fcntl' });
  });
});
