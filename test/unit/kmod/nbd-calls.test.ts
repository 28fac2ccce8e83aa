/**
 * The calls of the NBD interface where this machine's kernel refuses them or the arguments are wrong; what they
 * do where it does not is test/system's subject.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import {
  nbdConnect,
  nbdDisconnect,
  nbdReconfigure,
  nbdStatus,
  nbdWatch,
  socketPair,
  type NbdConnectRequest,
} from 'blkferry-kernel';

const ADDON = import.meta.resolve('blkferry-kernel');

const CONNECT: NbdConnectRequest = {
  sizeBytes: 1024 * 1024,
  blockBytes: 512,
  serverFlags: 1,
  clientFlags: 0,
  requestTimeoutSeconds: 0,
  deadConnectionTimeoutSeconds: 0,
  backendIdentifier: 'test',
  socketFds: [],
};

const HAS_NBD = fs.existsSync('/sys/module/nbd');
const NO_NBD = { code: 'ENOENT', errno: -2, syscall: 'CTRL_CMD_GETFAMILY' };

/** Asks for the call without its types. */
function unchecked(call: (...values: never[]) => unknown): (...values: unknown[]) => unknown {
  return call as (...values: unknown[]) => unknown;
}

describe('the NBD interface of a kernel without the module', () => {
  const skip = HAS_NBD ? 'the module nbd is loaded here' : false;

  it('is ENOENT of the family in every call', { skip }, async () => {
    await assert.rejects(nbdConnect(CONNECT), NO_NBD);
    await assert.rejects(nbdReconfigure({ index: 0, backendIdentifier: 'test' }), NO_NBD);
    await assert.rejects(nbdDisconnect(0), NO_NBD);
    await assert.rejects(nbdStatus(), NO_NBD);
    await assert.rejects(nbdStatus(3), NO_NBD);
    await assert.rejects(
      nbdWatch(() => undefined),
      NO_NBD,
    );
  });

  it(
    'leaves the sockets of a refused call to the caller, and no copies of them',
    { skip },
    async () => {
      const [kernelEnd, daemonEnd] = socketPair();
      const before = fs.readdirSync('/proc/self/fd').length;
      await assert.rejects(nbdConnect({ ...CONNECT, socketFds: [kernelEnd, kernelEnd] }), NO_NBD);
      assert.equal(fs.readdirSync('/proc/self/fd').length, before);
      fs.writeSync(kernelEnd, 'x');
      fs.closeSync(kernelEnd);
      fs.closeSync(daemonEnd);
    },
  );

  it('answers many calls at once', { skip }, async () => {
    const calls = Array.from({ length: 100 }, () => nbdStatus());
    const outcomes = await Promise.allSettled(calls);
    assert.ok(outcomes.every(({ status }) => status === 'rejected'));
  });
});

describe('a call of the NBD interface', () => {
  it('throws at once when a number is none, too large or missing', () => {
    const connect = unchecked(nbdConnect);
    for (const wrong of [-1, 0.5, NaN, 2 ** 53]) {
      assert.throws(
        () => connect({ ...CONNECT, sizeBytes: wrong }),
        /^RangeError: sizeBytes must be an integer/,
      );
    }
    assert.throws(() => connect({ ...CONNECT, index: 2 ** 31 }), RangeError);
    assert.throws(
      () => connect({ ...CONNECT, requestTimeoutSeconds: 4_294_968 }),
      /^RangeError: requestTimeoutSeconds/,
    );
    assert.throws(() => connect({ ...CONNECT, blockBytes: '512' }), TypeError);
    assert.throws(
      () => connect({ ...CONNECT, serverFlags: undefined }),
      /^TypeError: serverFlags is missing/,
    );
    assert.throws(() => connect({ ...CONNECT, index: null }), TypeError);
    assert.throws(() => connect(), TypeError);
    assert.throws(() => connect('a'), TypeError);
    assert.throws(() => unchecked(nbdReconfigure)({ backendIdentifier: 'a' }), /index is missing/);
    assert.throws(() => unchecked(nbdDisconnect)(), TypeError);
    assert.throws(() => unchecked(nbdStatus)(-1), RangeError);
    assert.throws(() => unchecked(nbdWatch)({}), TypeError);
  });

  it('takes an identifier of 1 to 255 bytes, none of them zero', async () => {
    const connect = unchecked(nbdConnect);
    for (const wrong of ['', 'a\0b', 'x'.repeat(256), 'ö'.repeat(128)]) {
      assert.throws(() => connect({ ...CONNECT, backendIdentifier: wrong }), RangeError);
    }
    assert.throws(() => connect({ ...CONNECT, backendIdentifier: undefined }), /missing/);
    await assert.rejects(nbdConnect({ ...CONNECT, backendIdentifier: 'x'.repeat(255) }), {
      syscall: HAS_NBD ? 'NBD_CMD_CONNECT' : 'CTRL_CMD_GETFAMILY',
    });
  });

  it('takes at most 64 sockets, each an open file, and keeps none of those it looked at', () => {
    const connect = unchecked(nbdConnect);
    const before = fs.readdirSync('/proc/self/fd').length;
    assert.throws(() => connect({ ...CONNECT, socketFds: new Array(65).fill(0) }), RangeError);
    assert.throws(() => connect({ ...CONNECT, socketFds: [0, 987_654] }), {
      code: 'EBADF',
      syscall: 'fcntl',
    });
    assert.throws(() => connect({ ...CONNECT, socketFds: [0, -1] }), RangeError);
    assert.throws(() => connect({ ...CONNECT, socketFds: 3 }), TypeError);
    assert.throws(() => connect({ ...CONNECT, socketFds: undefined }), /missing/);
    assert.equal(fs.readdirSync('/proc/self/fd').length, before);
  });

  it('passes on what a getter of the request throws', () => {
    const request = {
      ...CONNECT,
      get sizeBytes(): number {
        throw new Error('mine');
      },
    };
    assert.throws(() => nbdConnect(request), /mine/);
  });

  it('may be in progress when its thread of Node ends', async () => {
    // Each round another moment of the call; a use after free would end the process.
    for (let round = 0; round < 20; round++) {
      const worker = new Worker(
        `import('node:worker_threads').then(async ({ parentPort, workerData }) => {
           const { nbdStatus, nbdWatch } = await import(workerData);
           for (let i = 0; i < 20; i++) {
             nbdStatus().catch(() => undefined);
             nbdWatch(() => undefined).catch(() => undefined);
           }
           parentPort.postMessage('asked');
         });`,
        { eval: true, workerData: ADDON },
      );
      await once(worker, 'message');
      await worker.terminate();
    }
  });

  it('may be in progress when the process exits', () => {
    const script = `import { nbdStatus } from ${JSON.stringify(ADDON)};
      for (let i = 0; i < 20; i++) nbdStatus().catch(() => undefined);
      process.exit(3);`;
    const words = ['--input-type=module', '-e', script];
    const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [3, '']);
  });
});
