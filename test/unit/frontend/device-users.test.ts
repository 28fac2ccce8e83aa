/** Who uses a device, found in files as Linux writes them. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { usersOfDevice } from '#daemon/frontend/device-users.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const folder = temporaryFolder();
let root: string;
let roots = 0;

function write(file: string, text: string): void {
  fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  fs.writeFileSync(path.join(root, file), text);
}

beforeEach(() => {
  roots += 1;
  root = path.join(folder, String(roots));
  write('sys/block/nbd3/dev', '43:96\n');
  write('sys/block/nbd3/nbd3p1/dev', '43:97\n');
  write('sys/block/nbd30/dev', '43:960\n');
});

describe('the users of a device', () => {
  it('are none where nothing is found', () => {
    assert.deepEqual(usersOfDevice(3, root), { lasting: [], programs: [], isPartial: false });
  });

  it('are mounts, of the device and of its partitions, and of no other device', () => {
    const lines = [
      '26 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw',
      '51 26 43:96 / /mnt/whole rw,relatime shared:1 - ext4 /dev/nbd3 rw',
      '52 26 43:97 / /mnt/part rw,relatime - xfs /dev/nbd3p1 rw',
      '53 26 43:960 / /mnt/other rw,relatime - ext4 /dev/nbd30 rw',
    ];
    write('proc/self/mountinfo', lines.join('\n'));
    assert.deepEqual(usersOfDevice(3, root).lasting, [
      'mounted at /mnt/whole',
      'mounted at /mnt/part',
    ]);
  });

  it('are swap, devices on top of it, and guests', () => {
    write('proc/swaps', 'Filename\tType\tSize\n/dev/nbd3p1\tpartition\t8\n');
    fs.mkdirSync(path.join(root, 'sys/block/nbd3/holders/dm-0'), { recursive: true });
    fs.mkdirSync(path.join(root, 'sys/block/nbd3/nbd3p1/holders/md0'), { recursive: true });
    write('sys/bus/xen-backend/devices/vbd-7-51712/physical_device', '2b:60\n');
    write('sys/bus/xen-backend/devices/vbd-8-51712/physical_device', '2b:61\n');
    assert.deepEqual(usersOfDevice(3, root).lasting, [
      'used as swap',
      'part of dm-0',
      'part of md0',
      'the disk 51712 of domain 7',
    ]);
  });

  it('are programs that have it open', () => {
    write('proc/71/comm', 'fio\n');
    fs.mkdirSync(path.join(root, 'proc/71/fd'), { recursive: true });
    fs.symlinkSync('/dev/nbd3', path.join(root, 'proc/71/fd/5'));
    write('proc/72/comm', 'cat\n');
    fs.mkdirSync(path.join(root, 'proc/72/fd'), { recursive: true });
    fs.symlinkSync('/dev/nbd30', path.join(root, 'proc/72/fd/5'));
    const { programs, isPartial } = usersOfDevice(3, root);
    assert.deepEqual(programs, ['open in fio (process 71)']);
    assert.equal(isPartial, false);
  });

  it('are not all known when it cannot be seen what a program has open', () => {
    write('proc/71/comm', 'fio\n');
    // Neither a folder nor absent, as for those who lack the right.
    write('proc/71/fd', '');
    assert.equal(usersOfDevice(3, root).isPartial, true);
  });

  it('are told five at most', () => {
    const lines = Array.from(
      { length: 9 },
      (_none, n) => `5${n} 26 43:96 / /mnt/${n} rw - ext4 x rw`,
    );
    write('proc/self/mountinfo', lines.join('\n'));
    assert.equal(usersOfDevice(3, root).lasting.length, 5);
  });
});
