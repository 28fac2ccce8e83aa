/**
 * A real storage node with workers, inside the test's process, and clients of it whose sessions can be held by hand:
 * what was sent, answered and told.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import type { BlockRequest, BlockResult } from '#daemon/block/block-request.js';
import { startWorkers } from '#daemon/bin/worker-start.js';
import { AccessRules } from '#daemon/config/access-rules.js';
import type { StorageError } from '#daemon/rpc/storage-error.js';
import type { OpenFrame, OpenedFrame } from '#daemon/rpc/storage-messages.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import type { PlaceLimits } from '#daemon/runtime/connection-places.js';
import { RepeatedWarnings } from '#daemon/runtime/repeated-warnings.js';
import { TlsMaterial, type TlsFiles } from '#daemon/security/tls-material.js';
import { AccessControl } from '#daemon/storage-node/access-control.js';
import { createBackends } from '#daemon/storage-node/backend/backend-registry.js';
import { openDataDirectory } from '#daemon/storage-node/data-directory.js';
import { startNode, type RunningNode } from '#daemon/storage-node/node-server.js';
import { VolumeCatalog } from '#daemon/storage-node/volume-catalog.js';
import { createGrpcStorageClient } from '#daemon/transport/grpc-storage-client.js';
import type { StorageClient, StorageSession } from '#daemon/transport/storage-client.js';
import { TEST_SESSION_TIMES } from './test-node.js';
import { until } from './served-node.js';

export interface WorkerNodeWish {
  readonly workers?: number;
  /** By default a unix socket in the folder. */
  readonly address?: string;
  readonly tls?: TlsFiles;
  /** A file of rules. */
  readonly rules?: string;
  readonly places?: PlaceLimits;
}

export class WorkerNode {
  readonly #clients: StorageClient[] = [];

  private constructor(
    readonly node: RunningNode,
    readonly catalog: VolumeCatalog,
    /** `event: message` of each record. */
    readonly logged: string[],
    readonly material: TlsMaterial | undefined,
    readonly endWorkers: () => Promise<void>,
  ) {}

  static async start(folder: string, wish: WorkerNodeWish = {}): Promise<WorkerNode> {
    const logged: string[] = [];
    const log = (fields: object, message: string): void => {
      logged.push(`${(fields as { event: string }).event}: ${message}`);
    };
    const sessionLimits = { requestsInFlightMax: 1024, bytesInFlightMax: 64 * 1024 * 1024 };
    const { workers = 2, address = `unix:${path.join(folder, 'node.sock')}` } = wish;
    const pool = startWorkers(workers, sessionLimits, { info: log, warn: log });
    const directory = await openDataDirectory(path.join(folder, 'data'));
    const { catalog } = await VolumeCatalog.load(
      directory,
      pool?.backends() ?? createBackends(),
      pool && ((others) => pool.newVolumeId(others)),
    );
    const refusals = new RepeatedWarnings({ warn: log }, SYSTEM_CLOCK);
    const rules = wish.rules === undefined ? undefined : AccessRules.fromText(wish.rules, 'rules');
    const tls = wish.tls && TlsMaterial.load(wish.tls, Date.now());
    const node = await startNode({
      catalog,
      clock: SYSTEM_CLOCK,
      wallClock: () => Date.now(),
      leaseTimeoutMs: 10_000,
      software: 'test node',
      sessionsMax: 100,
      sessionLimits,
      workers,
      pool,
      log: { info: log, warn: log },
      refusals,
      access: new AccessControl(rules, refusals),
      address,
      insecure: false,
      ...(tls === undefined ? {} : { tls }),
      ...(wish.places === undefined ? {} : { places: wish.places }),
    });
    return new WorkerNode(node, catalog, logged, tls, async () => pool?.stop());
  }

  client(files?: TlsFiles): StorageClient {
    const client = createGrpcStorageClient({
      address: this.node.address,
      callTimeoutMs: 5000,
      sessionTimes: TEST_SESSION_TIMES,
      insecure: false,
      ...(files === undefined ? {} : { tls: TlsMaterial.load(files, Date.now()) }),
      clock: SYSTEM_CLOCK,
    });
    this.#clients.push(client);
    return client;
  }

  async stop(deadlineMs = 5000): Promise<void> {
    for (const client of this.#clients) client.close();
    try {
      await this.node.stop(deadlineMs);
    } finally {
      await this.endWorkers();
    }
  }
}

/** A session of a client, and all that it was told. */
export class HeldSession {
  opened: OpenedFrame | undefined;
  end: StorageError | undefined;
  readonly sizes: number[] = [];
  readonly verifiers: bigint[] = [];
  readonly #answers = new Map<number, (result: BlockResult) => void>();
  readonly #session: StorageSession;
  #lastSequence = 0;

  constructor(client: StorageClient, open: Partial<OpenFrame> & { readonly volumeId: string }) {
    const frame = {
      attachmentId: 'a',
      generation: 0,
      streamIndex: 0,
      checksum: 'none' as const,
      takesHoles: true,
    };
    this.#session = client.openSession(
      { ...frame, ...open },
      {
        opened: (facts) => (this.opened = facts),
        completed: (sequence, result) => {
          this.#answers.get(sequence)?.(result);
          this.#answers.delete(sequence);
        },
        verifierSeen: (verifier) => this.verifiers.push(verifier),
        resized: (sizeBytes) => this.sizes.push(sizeBytes),
        ended: (reason) => (this.end = reason),
      },
    );
  }

  /** Requests without an answer. */
  get unanswered(): number {
    return this.#answers.size;
  }

  async whenOpen(): Promise<OpenedFrame> {
    await until(() => this.opened !== undefined || this.end !== undefined);
    assert.ok(this.opened !== undefined, `the session was refused: ${this.end?.message}`);
    return this.opened;
  }

  async whenEnded(): Promise<StorageError> {
    await until(() => this.end !== undefined);
    assert.ok(this.end !== undefined);
    return this.end;
  }

  /** Never resolves if the session ends before the answer. */
  send(request: BlockRequest): Promise<BlockResult> {
    this.#lastSequence += 1;
    const sequence = this.#lastSequence;
    return new Promise((resolve) => {
      this.#answers.set(sequence, resolve);
      this.#session.send(sequence, request);
    });
  }

  close(): void {
    this.#session.close();
  }
}

/** Makes a volume and takes its lease. @returns its id, and a writing session of it */
export async function writtenVolume(
  client: StorageClient,
  name: string,
  attachmentId = 'a',
): Promise<{ volumeId: string; session: HeldSession }> {
  const { volume } = await client.createVolume({
    name,
    sizeBytes: 4 * 1024 * 1024,
    blockBytes: 512,
    backend: '',
  });
  const session = await writer(client, volume.volumeId, attachmentId);
  return { volumeId: volume.volumeId, session };
}

/** Takes the lease, from whoever has it. @returns an open session under it */
export async function writer(
  client: StorageClient,
  volumeId: string,
  attachmentId: string,
): Promise<HeldSession> {
  const { generation } = await client.acquireLease({
    volumeId,
    attachmentId,
    description: `daemon of ${attachmentId}`,
    expectedGeneration: 0,
    takeOver: true,
  });
  const session = new HeldSession(client, { volumeId, attachmentId, generation });
  await session.whenOpen();
  return session;
}
