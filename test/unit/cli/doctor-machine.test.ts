/** Goal and method as in doctor.test.ts; here what the machine brings: kernel, services, udev, Xen. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { beforeEach, describe, it } from 'node:test';
import { DoctorWorld, OWN_SCRIPT } from './doctor-world.js';
import { BLOCK_SCRIPT, KERNEL_RELEASE, type FakeMachine } from './fake-machine.js';

let world: DoctorWorld;
let machine: FakeMachine;

beforeEach(() => {
  world = new DoctorWorld();
  machine = world.machine;
});

describe('blkferry doctor, about the kernel', () => {
  it('warns of one that does not tell whose a device is, and of one that makes none', async () => {
    machine.kernelRelease = '5.10.0-34-amd64';
    await world.saysWarning(
      /^warning {2}kernel: .*will not know its devices again after a restart$/m,
    );
    machine.kernelRelease = '4.9.0';
    await world.saysWarning(
      /^warning {2}kernel: .*cannot make block devices here: that needs 4.12$/m,
    );
  });

  it('counts it as a problem when devices are demanded, and as a note when nobody wants one', async () => {
    machine.remove('/sys/module/nbd');
    await world.saysProblem(/^problem {2}nbd module: /m, 'device.mode = "kernel"');
    await world.saysNote(
      /^note {5}nbd module: .*\(device.mode is none\)$/m,
      'device.mode = "none"',
    );
  });

  it('tells a module that is not loaded from one that is not there, and from modules that are not', async () => {
    machine.remove('/sys/module/nbd');
    await world.saysWarning(/nbd module: not loaded: .*\n +→ modprobe nbd$/m);
    machine.files.set(`/lib/modules/${KERNEL_RELEASE}/modules.dep`, 'kernel/drivers/loop.ko:\n');
    await world.saysWarning(/nbd module: this kernel was built without it: /);
    machine.remove('/lib/modules');
    await world.saysWarning(
      /nbd module: not loaded, and \/lib\/modules\/6.12.9-amd64 is not there/,
    );
  });

  it('says when the netlink interface does not answer', async () => {
    machine.nbdFailure = new Error('NBD_CMD_STATUS: EOPNOTSUPP');
    await world.saysWarning(
      /^warning {2}nbd netlink: does not answer: NBD_CMD_STATUS: EOPNOTSUPP$/m,
    );
  });

  it('says when the add-on cannot be used, and asks it nothing', async () => {
    machine.addonFailure = 'the native add-on is not built';
    machine.nbdFailure = new Error('must not be asked');
    await world.saysProblem(
      /^problem {2}add-on: it cannot be used: the native add-on is not built$/m,
    );
  });
});

describe('blkferry doctor, about the services and udev', () => {
  it('says when nothing starts the daemon at boot', async () => {
    machine.setUnit('blkferryd.service', { UnitFileState: 'disabled' });
    await world.saysWarning(/blkferryd does not start at boot\n +→ systemctl enable blkferryd/);
  });

  it('says when a service failed, or is enabled and does not run', async () => {
    machine.setUnit('blkferry-node.service', { ActiveState: 'failed' });
    await world.saysProblem(/blkferry-node is failed\n +→ journalctl -u blkferry-node -n 30/);
    machine.setUnit('blkferry-node.service', { ActiveState: 'inactive' });
    await world.saysProblem(
      /blkferry-node is enabled and not active\n +→ systemctl start blkferry-node/,
    );
  });

  it('says when systemd started a service again, and when its unit was changed', async () => {
    machine.setUnit('blkferryd.service', { NRestarts: '3' });
    await world.saysWarning(/blkferryd ended unexpectedly and was started again 3 times/);
    machine.setUnit('blkferryd.service', { NeedDaemonReload: 'yes' });
    await world.saysWarning(/blkferryd.service was changed since systemd read it/);
  });

  it('has nothing against a service that is not wanted here', async () => {
    machine.setUnit('blkferry-node.service', {
      ActiveState: 'inactive',
      UnitFileState: 'disabled',
    });
    const { stdout } = await world.doctor();
    assert.doesNotMatch(stdout, /blkferry-node is/);
    assert.match(stdout, /\nall is well\n$/);
  });

  it('does not insist on systemd, nor on units', async () => {
    machine.setUnit('blkferry-node.service', { LoadState: 'not-found', ActiveState: 'inactive' });
    await world.saysNote(/blkferry-node is not installed as a service/);
    machine.remove('/run/systemd');
    await world.saysNote(/^note {5}systemd: does not run here/m);
  });

  it('says which file systems would be unmounted too late', async () => {
    machine.files.set(
      '/etc/fstab',
      [
        '# /dev/blkferry/v0 /mnt/0 ext4 defaults 0 2',
        '/dev/sda1 / ext4 defaults 0 1',
        '/dev/blkferry/v1 /mnt/1 ext4 defaults,_netdev 0 2',
        '/dev/blkferry/v2\t/mnt/2 ext4 nofail 0 2',
      ].join('\n'),
    );
    await world.saysWarning(
      /^warning {2}fstab: \/dev\/blkferry\/v2 on \/mnt\/2 is mounted .*\n +→ add _netdev,nofail/m,
    );
  });

  it('says when udev runs without our rules, and does without udev', async () => {
    machine.remove('/usr/lib/udev');
    await world.saysWarning(/^warning {2}udev: the rules are not installed/m);
    machine.remove('/run/udev');
    await world.saysNote(/^note {5}udev: does not run here/m);
  });
});

describe('blkferry doctor, about Xen', () => {
  it('does not insist on Xen, and tells a guest from Dom0', async () => {
    machine.files.set('/proc/xen/capabilities', '');
    await world.saysNote(/^note {5}xen: this is a guest of Xen, not Dom0/m);
    machine.remove('/proc/xen');
    await world.saysWarning(/^warning {2}xen: .*\n +→ mount -t xenfs xenfs \/proc\/xen$/m);
    machine.remove('/sys/hypervisor');
    const { stdout } = await world.doctor();
    assert.match(stdout, /^note {5}xen: Xen does not run here/m);
    assert.doesNotMatch(stdout, /xen-blkback|block script/);
  });

  it('says when guests would get no disk', async () => {
    machine.remove('/sys/module/xen_blkback');
    await world.saysProblem(/^problem {2}xen-blkback: not loaded: .*\n +→ modprobe xen-blkback$/m);
  });

  it('says when the block script is missing, cannot be executed, or is of another version', async () => {
    machine.executables.clear();
    await world.saysProblem(/^problem {2}block script: .* cannot be executed\n +→ chmod 755/m);
    machine.executables.add(BLOCK_SCRIPT);
    machine.files.set(BLOCK_SCRIPT, '#!/bin/bash\n');
    await world.saysWarning(/^warning {2}block script: .* is of another version, or was changed$/m);
    machine.files.delete(BLOCK_SCRIPT);
    await world.saysWarning(/^warning {2}block script: .* is not there/m);
  });

  it('takes a script for its own whose command is below another prefix', async () => {
    const text = readFileSync(OWN_SCRIPT, 'utf8');
    const installed = text.replaceAll('/usr/bin/blkferry', '/opt/blkferry/bin/blkferry');
    machine.files.set(BLOCK_SCRIPT, installed);
    const { stdout } = await world.doctor();
    assert.match(stdout, /^ok {7}block script: /m);
  });
});
