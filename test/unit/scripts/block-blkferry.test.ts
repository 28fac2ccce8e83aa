/**
 * scripts/xen/block-blkferry: what a guest's disk does to xenstore and to attachments, without Xen. The
 * script runs with Xen's own shell functions where they are, in /etc/xen/scripts or in the folder that
 * BLKFERRY_XEN_SCRIPTS names, else with a stand-in for them.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { missingPrograms } from '#test/support/program.js';
import { HotplugBench, type XenFiles } from './hotplug-bench.js';

const XEN_FOLDER = process.env['BLKFERRY_XEN_SCRIPTS'] ?? '/etc/xen/scripts';

const XEN: XenFiles = existsSync(path.join(XEN_FOLDER, 'block-common.sh'))
  ? { name: "Xen's own shell functions", folder: XEN_FOLDER }
  : { name: "a stand-in for Xen's shell functions", folder: undefined };

const skip = missingPrograms('flock');

describe(`block-blkferry with ${XEN.name}`, { skip }, () => {
  const folder = skip === false ? temporaryFolder() : '';
  let count = 0;
  let bench: HotplugBench;
  const newBench = (limitSeconds?: number): HotplugBench => {
    count += 1;
    const options = limitSeconds === undefined ? {} : { limitSeconds };
    return new HotplugBench(path.join(folder, String(count)), XEN, options);
  };
  beforeEach(() => {
    bench = newBench();
  });

  describe('add', () => {
    it('attaches the volume and tells blkback which device it is, in hexadecimal', async () => {
      const backend = bench.plug(7, 'vm1');
      const { status, hotplugStatus, error } = await bench.run('add', backend);
      assert.equal(error, undefined);
      assert.equal(status, 0);
      assert.equal(hotplugStatus, 'connected');
      assert.equal(bench.read(`${backend}/physical-device`), '1:3');
      assert.equal(bench.read(`${backend}/physical-device-path`), '/dev/null');
      const calls = bench.world.calls.filter((call) => call.startsWith('attach'));
      assert.match(
        calls.join('\n'),
        /^attach vm1 --device --id [0-9a-f-]{36} --json --timeout \d+s$/,
      );
    });

    it('does nothing when it is called again', async () => {
      const backend = bench.plug(7, 'vm1');
      await bench.run('add', backend);
      const { length } = bench.world.calls;
      assert.equal((await bench.run('add', backend)).status, 0);
      assert.equal(bench.world.calls.length, length);
    });

    for (const node of [
      '192.0.2.10:7600',
      '[2001:db8::1]:7600',
      'unix:/run/node@1.sock',
      'a:1,b:1',
    ]) {
      it(`passes the node ${node} on`, async () => {
        await bench.run('add', bench.plug(7, `vm1@${node}`));
        assert.equal(bench.world.attachments['vm1']?.node, node);
      });
    }

    it('attaches read-only for a disk that is read-only', async () => {
      await bench.run('add', bench.plug(7, 'vm1', { mode: 'r' }));
      assert.equal(bench.world.attachments['vm1']?.readOnly, true);
    });

    it('takes no lease for a guest that is on its way here, before it writes', async () => {
      await bench.run('add', bench.plug(7, 'vm1', { name: 'web--incoming' }));
      await bench.run('add', bench.plug(8, 'vm2'));
      const { vm1, vm2 } = bench.world.attachments;
      assert.deepEqual([vm1?.standby, vm2?.standby], [true, false]);
    });

    it('waits for an attachment whose node has not answered yet', async () => {
      bench.changeWorld((world) => {
        world.attachments['vm1'] = attachedByHand({ looksUntilActive: 3 });
      });
      const { status } = await bench.run('add', bench.plug(7, 'vm1'));
      assert.equal(status, 0);
      assert.equal(bench.world.attachments['vm1']?.looksUntilActive, 0);
    });

    it('reads its settings from the administrator', async () => {
      bench.defaults = 'BLKFERRY=/nowhere/blkferry\n';
      const { error } = await bench.run('add', bench.plug(7, 'vm1'));
      assert.match(error ?? '', /^there is no command \/nowhere\/blkferry: /);
    });
  });

  describe('an add that fails', () => {
    it('says in xenstore and in the log that there is no such volume', async () => {
      const backend = bench.plug(7, 'vm9');
      const { status, hotplugStatus, error } = await bench.run('add', backend);
      assert.equal(status, 1);
      assert.equal(hotplugStatus, 'error');
      assert.equal(error, 'there is no volume "vm9"');
      assert.match(bench.log, /there is no volume "vm9"/);
      assert.equal(bench.read(`${backend}/physical-device`), undefined);
    });

    it('says that the node is away', async () => {
      bench.changeWorld((world) => {
        world.isNodeAway = true;
      });
      const { error } = await bench.run('add', bench.plug(7, 'vm1'));
      assert.equal(error, 'node 127.0.0.1:7600 does not answer');
    });

    it('says that the daemon is away', async () => {
      bench.changeWorld((world) => {
        world.isDaemonAway = true;
      });
      const { error } = await bench.run('add', bench.plug(7, 'vm1'));
      assert.equal(error, 'blkferryd does not answer; is it running?');
    });

    for (const target of ['', '@node:1', '../vm1', 'vm 1', '-vm1', 'a'.repeat(65)]) {
      it(`says how a target is written when it is "${target}"`, async () => {
        const { error } = await bench.run('add', bench.plug(7, target));
        assert.match(error ?? '', /write target=VOLUME or target=VOLUME@NODE/);
        assert.deepEqual(bench.world.calls, []);
      });
    }

    it('ends a blkferry that does not answer before libxl ends the script', async () => {
      bench = newBench(1);
      bench.changeWorld((world) => {
        world.hangingCommand = 'attach';
      });
      const { error } = await bench.run('add', bench.plug(7, 'vm1'));
      assert.equal(error, 'blkferry attach did not end within 1 s');
    });

    it('gives up on an attachment that stays unusable, with its reason', async () => {
      bench.changeWorld((world) => {
        world.attachments['vm1'] = attachedByHand({ state: 'failing' });
      });
      const { error } = await bench.run('add', bench.plug(7, 'vm1'));
      assert.equal(error, 'volume vm1 is attached but failing: says "why"');
      assert.deepEqual(bench.attached, ['vm1']);
    });

    it('never gives a guest a device that is not the one of the volume', async () => {
      const backend = bench.plug(7, 'other-numbers');
      const { error } = await bench.run('add', backend);
      assert.match(error ?? '', /^\/dev\/full is not the device 2b:0 that blkferryd made/);
      assert.equal(bench.read(`${backend}/physical-device`), undefined);
      assert.deepEqual(bench.attached, []);
    });

    it('leaves nothing attached when the disk was taken away meanwhile', async () => {
      const backend = bench.plug(7, 'vm1');
      bench.write(`${backend}/state`, '5');
      const { error } = await bench.run('add', backend);
      assert.match(error ?? '', /^the disk was taken away/);
      assert.deepEqual(bench.attached, []);
    });

    it('is followed by a remove that has nothing to do', async () => {
      const backend = bench.plug(7, 'vm9');
      await bench.run('add', backend);
      assert.equal((await bench.run('remove', backend)).status, 0);
      assert.ok(!bench.world.calls.some((call) => call.startsWith('detach')));
    });
  });

  describe('two guests', () => {
    it('do not get the same volume for writing', async () => {
      const first = bench.plug(7, 'vm1');
      const second = bench.plug(8, 'vm1');
      await bench.run('add', first);
      const { error, status } = await bench.run('add', second);
      assert.equal(status, 1);
      assert.match(error ?? '', /^volume vm1 is in use by the guest guest7; /);
      await bench.run('remove', second);
      assert.deepEqual(bench.attached, ['vm1']);
    });

    it('do not get the same volume when they ask at the same time', async () => {
      const backends = [7, 8, 9].map((domain) => bench.plug(domain, 'vm1'));
      const outcomes = await Promise.all(backends.map((backend) => bench.run('add', backend)));
      assert.deepEqual(outcomes.map(({ status }) => status).sort(), [0, 1, 1]);
    });

    it('do not get it when one only reads', async () => {
      await bench.run('add', bench.plug(7, 'vm1'));
      const { error } = await bench.run('add', bench.plug(8, 'vm1', { mode: 'r' }));
      assert.match(error ?? '', /^volume vm1 is in use by the guest guest7; .* access=r /);
    });

    it('do not get it when one has it as a plain device', async () => {
      bench.changeWorld((world) => {
        world.attachments['vm1'] = attachedByHand({});
      });
      bench.write(`${bench.plug(7, '/dev/blkferry/vm1')}/physical-device`, '1:3');
      const { error } = await bench.run('add', bench.plug(8, 'vm1'));
      assert.match(error ?? '', /^volume vm1 is in use by the guest guest7; /);
    });

    it('may both read, and the last one detaches', async () => {
      const readers = [7, 8].map((domain) => bench.plug(domain, 'vm1', { mode: 'r' }));
      for (const reader of readers) assert.equal((await bench.run('add', reader)).status, 0);
      await bench.run('remove', readers[0]!);
      assert.deepEqual(bench.attached, ['vm1']);
      bench.erase(readers[0]!);
      await bench.run('remove', readers[1]!);
      assert.deepEqual(bench.attached, []);
    });

    it('may share a volume for writing when the toolstack says so', async () => {
      const backends = [7, 8].map((domain) => bench.plug(domain, 'vm1', { mode: 'w!' }));
      for (const backend of backends) assert.equal((await bench.run('add', backend)).status, 0);
    });

    it('that are one guest on the move inside this host both get it', async () => {
      const source = bench.plug(7, 'vm1', { vm: '/vm/same' });
      const destination = bench.plug(8, 'vm1', { vm: '/vm/same' });
      await bench.run('add', source);
      assert.equal((await bench.run('add', destination)).status, 0);
      await bench.run('remove', source);
      bench.erase(source);
      assert.deepEqual(bench.attached, ['vm1']);
      await bench.run('remove', destination);
      assert.deepEqual(bench.attached, []);
    });

    it('do not wait for what is left of a guest that is gone', async () => {
      const gone = bench.plug(7, 'vm1');
      await bench.run('add', gone);
      bench.erase('/local/domain/7');
      const next = bench.plug(8, 'vm1');
      assert.equal((await bench.run('add', next)).status, 0);
      await bench.run('remove', next);
      assert.deepEqual(bench.attached, []);
    });
  });

  describe('remove', () => {
    it('detaches what add attached, and does nothing when it is called again', async () => {
      const backend = bench.plug(7, 'vm1');
      await bench.run('add', backend);
      assert.equal((await bench.run('remove', backend)).status, 0);
      assert.deepEqual(bench.attached, []);
      assert.equal((await bench.run('remove', backend)).status, 0);
      assert.equal(bench.world.calls.filter((call) => call.startsWith('detach')).length, 1);
    });

    it('leaves other volumes alone', async () => {
      await bench.run('add', bench.plug(7, 'vm2', { disk: 51728 }));
      const backend = bench.plug(7, 'vm1');
      await bench.run('add', backend);
      await bench.run('remove', backend);
      assert.deepEqual(bench.attached, ['vm2']);
    });

    it('leaves what was attached by hand before', async () => {
      bench.changeWorld((world) => {
        world.attachments['vm1'] = attachedByHand({});
      });
      const backend = bench.plug(7, 'vm1');
      assert.equal((await bench.run('add', backend)).status, 0);
      assert.equal((await bench.run('remove', backend)).status, 0);
      assert.deepEqual(bench.attached, ['vm1']);
    });

    it('leaves what was detached and attached again by hand meanwhile', async () => {
      const backend = bench.plug(7, 'vm1');
      await bench.run('add', backend);
      bench.changeWorld((world) => {
        world.attachments['vm1'] = attachedByHand({});
      });
      await bench.run('remove', backend);
      assert.deepEqual(bench.attached, ['vm1']);
    });

    it('still knows what add attached after another add for it was refused', async () => {
      const backend = bench.plug(7, 'vm1');
      await bench.run('add', backend);
      await bench.run('add', bench.plug(8, 'vm1@192.0.2.10:7600'));
      await bench.run('remove', backend);
      assert.deepEqual(bench.attached, []);
    });

    it('waits while blkback has the device still open', async () => {
      const backend = bench.plug(7, 'vm1');
      await bench.run('add', backend);
      bench.changeWorld((world) => {
        world.isHeld = true;
      });
      assert.equal((await bench.run('remove', backend)).status, 0);
      assert.deepEqual(bench.attached, []);
    });

    it('detaches what an add attached that libxl ended before it could say so', async () => {
      const backend = bench.plug(7, 'vm1');
      await bench.run('add', backend);
      const { attachmentId } = bench.world.attachments['vm1']!;
      writeFileSync(path.join(bench.folder, 'blkferry/vm1'), `before ${attachmentId}\n`);
      bench.erase(`${backend}/physical-device`);
      await bench.run('remove', backend);
      assert.deepEqual(bench.attached, []);
    });

    it('says what stays attached when the node is away; the next disk that goes takes it away', async () => {
      const first = bench.plug(7, 'vm1');
      await bench.run('add', first);
      bench.changeWorld((world) => {
        world.isNodeAway = true;
      });
      const { status, error } = await bench.run('remove', first);
      assert.equal(status, 1);
      assert.match(error ?? '', /^volume vm1 stays attached to this host: the node is away/);
      // Also after a reboot, with which xenstore has ended.
      bench.erase('backend');
      bench.changeWorld((world) => {
        world.isNodeAway = false;
      });
      const second = bench.plug(8, 'vm1');
      assert.equal((await bench.run('add', second)).status, 0);
      await bench.run('remove', second);
      assert.deepEqual(bench.attached, []);
    });

    it('has nothing to do where nothing was added', async () => {
      assert.equal((await bench.run('remove', bench.plug(7, 'vm1'))).status, 0);
      assert.equal((await bench.run('remove', 'backend/vbd/9/51712')).status, 0);
      assert.deepEqual(bench.world.calls, []);
    });

    it('leaves no note behind', async () => {
      const backend = bench.plug(7, 'vm1');
      const note = path.join(bench.folder, 'blkferry/vm1');
      await bench.run('add', backend);
      const { attachmentId } = bench.world.attachments['vm1']!;
      assert.equal(readFileSync(note, 'utf8'), `${attachmentId}\n1:3\n`);
      await bench.run('remove', backend);
      assert.equal(existsSync(note), false);
    });
  });
});

function attachedByHand(
  different: Partial<HotplugBench['world']['attachments'][string]>,
): HotplugBench['world']['attachments'][string] {
  return {
    attachmentId: 'by-hand',
    readOnly: false,
    standby: false,
    node: '',
    state: 'active',
    looksUntilActive: 0,
    device: { path: '/dev/null', major: 1, minor: 3 },
    ...different,
  };
}
