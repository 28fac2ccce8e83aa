/** Who opens a device, who shares it, who closes it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BackendVolume } from '#daemon/storage-node/backend/backend.js';
import { MemoryBackend } from '#daemon/storage-node/backend/memory/memory-backend.js';
import { OpenDevices } from '#daemon/storage-node/open-devices.js';

const IDENTITY = { volumeId: 'v', sizeBytes: 512, blockBytes: 512 };

/** Devices whose closing ends when the test says so. */
class SlowCloser {
  readonly log: string[] = [];
  readonly closing: ((error?: Error) => void)[] = [];

  readonly open = async (): Promise<BackendVolume> => {
    this.log.push('open');
    const backend = new MemoryBackend();
    await backend.create(IDENTITY);
    const device = await backend.open(IDENTITY);
    device.close = () => {
      this.log.push('closing');
      return new Promise((resolve, reject) => {
        this.closing.push((error) => {
          this.log.push('closed');
          if (error === undefined) resolve();
          else reject(error);
        });
      });
    };
    return device;
  };
}

/** Lets everything run that needs nobody from outside. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('OpenDevices', () => {
  it('opens a device once for all who take it, and closes it after the last', async () => {
    const devices = new OpenDevices();
    const closer = new SlowCloser();
    const [first, second] = await Promise.all([
      devices.take('v', closer.open),
      devices.take('v', closer.open),
    ]);
    assert.equal(first, second);
    await devices.give('v');
    assert.deepEqual(closer.log, ['open']);
    const gone = devices.give('v');
    await settled();
    closer.closing[0]?.();
    await gone;
    assert.deepEqual(closer.log, ['open', 'closing', 'closed']);
    assert.equal(devices.has('v'), false);
  });

  it('opens a volume anew only when its last device is closed, even if that failed', async () => {
    const devices = new OpenDevices();
    const closer = new SlowCloser();
    await devices.take('v', closer.open);
    const gone = assert.rejects(devices.give('v'), /disk/);
    await settled();
    assert.equal(devices.has('v'), true);
    const again = devices.take('v', closer.open);
    await settled();
    assert.deepEqual(closer.log, ['open', 'closing']);
    closer.closing[0]?.(new Error('disk'));
    await gone;
    await again;
    assert.deepEqual(closer.log, ['open', 'closing', 'closed', 'open']);
  });

  it('tells all who took it when a device cannot be opened, and tries again for the next', async () => {
    const devices = new OpenDevices();
    const fail = (): Promise<BackendVolume> => Promise.reject(new Error('no such file'));
    const taken = [devices.take('v', fail), devices.take('v', fail)];
    for (const one of taken) await assert.rejects(one, /no such file/);
    assert.equal(devices.has('v'), false);
    await devices.take('v', new SlowCloser().open);
  });

  it('closes all at the end, also when closing one fails, and then says so', async () => {
    const devices = new OpenDevices();
    const [bad, good] = [new SlowCloser(), new SlowCloser()];
    await devices.take('bad', bad.open);
    await devices.take('good', good.open);
    const end = assert.rejects(devices.closeAll(), /disk/);
    await settled();
    bad.closing[0]?.(new Error('disk'));
    await settled();
    assert.deepEqual(good.log, ['open', 'closing']);
    good.closing[0]?.();
    await end;
  });
});
