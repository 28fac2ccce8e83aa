/**
 * A node, a daemon and the kernel's devices, for tests that run where the kernel has nbd: the lab, or a
 * machine whose owner allows it. Asked through the two APIs, as starting a program takes seconds in the lab.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAdminClient } from '#daemon/cli/admin-client.js';
import type { KernelDeviceMessage } from '#daemon/rpc/admin-messages.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import { attachRequest } from '#test/support/attach-request.js';
import { PATIENCE, runProgram, runSuccessfully, type Finished } from '#test/support/program.js';
import { ServicePair } from '#test/support/service-pair.js';

const PROGRAM = fileURLToPath(
  new URL('../../../../daemon/dist/program/blkferry.js', import.meta.url),
);

/** The lab's processor is emulated: everything takes ten to thirty times as long as on a real one. */
export const SLOW_MS = 120_000 * PATIENCE;

/** @returns for the `skip` of a test: false, or why there can be no device here */
export function missingNbd(): string | false {
  if (process.getuid?.() !== 0) return 'needs root: block devices are made';
  if (fs.existsSync('/sys/module/nbd')) return false;
  return 'the kernel module nbd is not loaded here; scripts/lab vm has it';
}

/** What a device is asked to be; see AttachRequest in admin.proto. */
export interface DeviceWishes {
  readonly readOnly?: boolean;
  readonly blockBytes?: number;
  readonly connections?: number;
}

export class DeviceBench extends ServicePair {
  /** In a folder of its own, which `start` makes and `stop` removes. */
  constructor() {
    super(path.join(os.tmpdir(), `blkferry-test-${randomUUID().slice(0, 8)}`));
  }

  override async start(): Promise<void> {
    fs.mkdirSync(this.folder);
    await super.start();
  }

  readonly admin = createAdminClient({ address: `unix:${this.adminSocket}`, timeoutMs: SLOW_MS });
  readonly storage = createGrpcStorageClient({
    address: this.nodeAddress,
    callTimeoutMs: SLOW_MS,
    sessionTimes: { openTimeoutMs: SLOW_MS, probeIntervalMs: 1000, probeTimeoutMs: SLOW_MS },
    insecure: false,
    clock: SYSTEM_CLOCK,
  });

  async attach(volume: string, wishes: DeviceWishes = {}): Promise<KernelDeviceMessage> {
    const { readOnly = false, blockBytes = 0, connections = 0 } = wishes;
    const { attachment } = await this.admin.attach(
      attachRequest(volume, {
        readOnly,
        device: 'kernel',
        deviceBlockBytes: blockBytes,
        deviceConnections: connections,
      }),
    );
    assert.ok(attachment.device !== undefined);
    return attachment.device;
  }

  /** A volume with a device. @returns the device's path, as people use it */
  async newDevice(volume: string, sizeBytes: number, wishes: DeviceWishes = {}): Promise<string> {
    await this.createVolume(volume, sizeBytes);
    return (await this.attach(volume, wishes)).link;
  }

  async createVolume(name: string, sizeBytes: number): Promise<void> {
    await this.storage.createVolume({ name, sizeBytes, blockBytes: 512, backend: '' });
  }

  async detach(exportName: string, force = false): Promise<void> {
    await this.admin.detach({ exportName, force });
  }

  async resize(name: string, sizeBytes: number, allowShrink = false): Promise<void> {
    await this.storage.resizeVolume({ name, sizeBytes, allowShrink });
  }

  async allocatedMiB(name: string): Promise<number> {
    return Math.round((await this.storage.getVolume(name)).allocatedBytes / 1024 ** 2);
  }

  nodeAnswers(): Promise<boolean> {
    return this.storage.getNode().then(
      () => true,
      () => false,
    );
  }

  /** The command, as people type it. */
  blkferry(...words: readonly string[]): Promise<Finished> {
    return runProgram(PROGRAM, words, {
      timeoutMs: SLOW_MS,
      environment: { BLKFERRY_ADMIN_SOCKET: this.adminSocket },
    });
  }

  async device(exportName: string): Promise<KernelDeviceMessage | undefined> {
    return (await this.admin.getAttachment(exportName)).device;
  }

  async writeRequests(exportName: string): Promise<number> {
    return (await this.admin.getAttachment(exportName)).counters?.writeRequests ?? 0;
  }

  /** What the daemon said at its start that it could not do against memory pressure. */
  memoryPressureRecord(): string[] {
    const lines = this.daemon.stderr().split('\n');
    const line = lines.find((one) => one.includes('"memory_pressure_prepared"'));
    assert.ok(line !== undefined, 'the daemon said nothing of memory pressure');
    return (JSON.parse(line) as { left: string[] }).left;
  }

  /** Detaches everything, also what a failed test left in use, and stops both programs. */
  override async stop(): Promise<void> {
    const attachments = await this.admin.listAttachments().catch(() => []);
    for (const { exportName } of attachments) await this.detach(exportName, true);
    this.admin.close();
    this.storage.close();
    await super.stop();
    fs.rmSync(this.folder, { recursive: true });
  }
}

/** What the kernel wrote to its log since this object was made. */
export class KernelLog {
  readonly #mark = `blkferry-test ${process.pid} ${Math.floor(performance.now() * 1000)}`;

  constructor() {
    fs.writeFileSync('/dev/kmsg', `<6>${this.#mark}\n`);
  }

  /** Lines that tell of I/O errors: there must be none where the kernel was to wait. */
  async errors(): Promise<string[]> {
    const lines = (await runSuccessfully('dmesg', [])).split('\n');
    const since = lines.findLastIndex((line) => line.includes(this.#mark));
    assert.notEqual(since, -1, 'the mark is no longer in the kernel log');
    return lines
      .slice(since + 1)
      .filter((line) => /I\/O error|Buffer I\/O|hung|BUG:|WARNING:/.test(line));
  }
}

/** Until the condition holds. @throws AssertionError after the time limit */
export async function until(
  what: string,
  limitMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const untilMs = performance.now() + limitMs * PATIENCE;
  while (!(await condition())) {
    assert.ok(performance.now() < untilMs, `${what}: not within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** One attribute of a block device, from /sys. */
export function attribute(device: string, name: string): string {
  const node = path.basename(fs.realpathSync(device));
  return fs.readFileSync(path.join('/sys/block', node, name), 'latin1').trim();
}

/** Mounts for the time of the work. */
export async function mounted(
  device: string,
  folder: string,
  work: () => Promise<void>,
): Promise<void> {
  fs.mkdirSync(folder, { recursive: true });
  await runSuccessfully('mount', [device, folder], { timeoutMs: SLOW_MS });
  try {
    await work();
  } finally {
    await runSuccessfully('umount', [folder], { timeoutMs: SLOW_MS });
  }
}
