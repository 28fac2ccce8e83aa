/**
 * Goal: what an independent program wrote is what it reads, while programs below it die. Method: fio writes
 * through NBD and verifies its checksums, while the node is killed and stopped at random moments.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { missingPrograms, runProgram } from '#test/support/program.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { FaultStack } from './fault-stack.js';
import { randomPause, SEED } from './fault-table.js';

const VOLUME_BYTES = 64 * 1024 * 1024;
const FIO_SECONDS = 15;

describe('fio with verification', () => {
  const skip = missingPrograms('fio');
  const folder = temporaryFolder();
  let stack: FaultStack;

  before(async () => {
    if (skip === false) stack = await FaultStack.start(folder, VOLUME_BYTES);
  });
  after(async () => {
    if (skip === false) await stack.stop();
  });

  it(
    'finds every block as it wrote it while the node is killed and stopped',
    { skip },
    async () => {
      const fio = runProgram('fio', [
        ...[
          '--name=faults',
          '--ioengine=nbd',
          `--aux-path=${folder}`,
          `--uri=nbd+unix:///v1?socket=${stack.daemon.nbdSocket}`,
        ],
        ...['--rw=randwrite', '--bsrange=4k-128k', '--iodepth=16', `--size=${VOLUME_BYTES}`],
        ...['--time_based', `--runtime=${FIO_SECONDS}`, '--rate_iops=800', `--randseed=${SEED}`],
        ...['--verify=crc32c', '--verify_backlog=64', '--verify_fatal=1', '--do_verify=1'],
        ...['--fsync=32'],
      ]);
      let ended = false;
      const finished = fio.finally(() => {
        ended = true;
      });
      let faults = 0;
      while (!ended) {
        await randomPause(100, 400);
        if (faults % 2 === 0) {
          await stack.node.kill();
          await stack.startNode();
        } else {
          stack.node.signal('SIGSTOP');
          await randomPause(20, 300);
          stack.node.signal('SIGCONT');
        }
        faults += 1;
      }
      const { status, stdout, stderr } = await finished;
      assert.equal(status, 0, stdout + stderr);
      assert(faults > 5, `only ${faults} faults`);
      console.log(`fio: ${faults} faults (node killed, node stopped), seed ${SEED}, no error`);
    },
  );
});
