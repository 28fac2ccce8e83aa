/**
 * A storage node on a unix socket with a catalog in memory and a clock that stands still, and a bare client
 * that is connected to it. One per test; `stop` it afterwards.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ServerUnaryCall } from '@grpc/grpc-js';
import { REQUEST_BYTES_MAX } from '#daemon/block/device-facts.js';
import { AccessRules } from '#daemon/config/access-rules.js';
import type { AuditEntry } from '#daemon/runtime/audit-log.js';
import type { LeaseMessage, OpenedFrame, OpenFrame } from '#daemon/rpc/storage-messages.js';
import type { Caller } from '#daemon/storage-node/access-caller.js';
import { AccessControl } from '#daemon/storage-node/access-control.js';
import { startNode, type RunningNode } from '#daemon/storage-node/node-server.js';
import type { PeerCall } from '#daemon/rpc/peer-identity.js';
import { RepeatedWarnings } from '#daemon/runtime/repeated-warnings.js';
import { FakeClock } from './fake-clock.js';
import { MemoryCatalog } from './memory-catalog.js';
import { NodeWire, type SessionWire } from './node-wire.js';

export const LEASE_TIMEOUT_MS = 30_000;
export const REQUESTS_IN_FLIGHT_MAX = 100;
export const SESSIONS_MAX = 4;

/** The node has one volume, `v1` with the id `id-v1`. */
export class ServedNode {
  readonly wire: NodeWire;
  readonly #wires: NodeWire[] = [];

  private constructor(
    readonly folder: string,
    readonly node: RunningNode,
    readonly catalog: MemoryCatalog,
    readonly clock: FakeClock,
    /** `event: message` of each record. */
    readonly logged: string[],
    readonly access: AccessControl,
    readonly audited: AuditEntry[],
  ) {
    this.wire = new NodeWire(node.address);
  }

  /** @param rules a file of rules; then every client is who it says it is, see `as` */
  static async start(rules?: string): Promise<ServedNode> {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blkferry-served-'));
    const catalog = new MemoryCatalog();
    catalog.add({ name: 'v1' });
    const clock = new FakeClock();
    const logged: string[] = [];
    const log = (fields: object, message: string): void => {
      logged.push(`${(fields as { event: string }).event}: ${message}`);
    };
    const refusals = new RepeatedWarnings({ warn: log }, clock);
    const parsed = rules === undefined ? undefined : AccessRules.fromText(rules, 'rules');
    const access = new AccessControl(parsed, refusals);
    const audited: AuditEntry[] = [];
    const node = await startNode({
      catalog,
      clock,
      wallClock: () => Date.UTC(2026, 0, 1),
      leaseTimeoutMs: LEASE_TIMEOUT_MS,
      software: 'blkferry-node test',
      sessionsMax: SESSIONS_MAX,
      sessionLimits: {
        requestsInFlightMax: REQUESTS_IN_FLIGHT_MAX,
        bytesInFlightMax: REQUEST_BYTES_MAX,
      },
      log: { info: log, warn: log },
      address: `unix:${path.join(folder, 'node.sock')}`,
      insecure: false,
      refusals,
      access,
      audit: {
        record: (entry) => audited.push(entry),
        close: () => Promise.resolve(),
      },
      ...(rules === undefined ? {} : { callerOf }),
    });
    return new ServedNode(folder, node, catalog, clock, logged, access, audited);
  }

  /** A client with these names, separated by commas; it is closed by `stop`. */
  as(names: string): NodeWire {
    const wire = new NodeWire(this.node.address, { names });
    this.#wires.push(wire);
    return wire;
  }

  acquire(attachmentId: string, takeOver = false): Promise<LeaseMessage> {
    return this.wire.call<LeaseMessage>('AcquireLease', {
      volumeId: 'id-v1',
      attachmentId,
      description: `daemon of ${attachmentId}`,
      expectedGeneration: 0,
      takeOver,
    });
  }

  async open(open: Partial<OpenFrame>): Promise<[SessionWire, OpenedFrame]> {
    const session = this.wire.open(open);
    const frame = await session.next();
    assert.equal(frame.kind, 'opened');
    return [session, frame];
  }

  /** Acquires the lease and opens a writing session. */
  async openWriter(attachmentId = 'a', takeOver = false): Promise<SessionWire> {
    const { generation } = await this.acquire(attachmentId, takeOver);
    const [session] = await this.open({ attachmentId, generation });
    return session;
  }

  /** For the end of a test: nothing stays behind, also when the stop itself fails as the test wants. */
  async stop(): Promise<void> {
    for (const wire of [this.wire, ...this.#wires]) wire.close();
    for (const { name } of this.catalog.list()) {
      if (this.catalog.isOpen(name)) this.catalog.device(name).completeAll();
    }
    await this.node.stop(1000).catch(() => undefined);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Takes the client's word: who a certificate names is asked with real ones elsewhere. */
function callerOf(call: PeerCall): Caller {
  const { metadata } = call as ServerUnaryCall<unknown, unknown>;
  const names = String(metadata.get('names')[0]).split(',');
  return { names, label: names[0] ?? 'nobody', peer: call.getPeer() };
}

/** Waits until the condition holds; the test's own time limit ends it otherwise. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
