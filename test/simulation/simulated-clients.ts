/**
 * The clients of the volume: each sends its planned requests in order, as many at a time as its depth, and
 * stops sending while the volume has no room, as nbd-session.ts does. What was unanswered when a daemon died
 * is asked again of the next one, as the kernel does. Every answer goes to the model.
 */
import {
  BLOCK_FLAG,
  flushRequest,
  joined,
  rangeRequest,
  readRequest,
  writeRequest,
  type BlockRequest,
  type BlockResult,
} from '#daemon/block/block-request.js';
import type { Volume } from '#daemon/volume/volume.js';
import { rangeContent } from './block-content.js';
import type { DaemonHost } from './daemon-host.js';
import type { HistoryModel } from './history-model.js';
import type { HistorySettings } from './history-settings.js';
import { LONGEST_BLOCKS, type PlannedRequest } from './history-plan.js';
import type { World } from './world.js';

/** A client looks again after this time if nothing else wakes it. */
const LOOK_AGAIN_MS = 40;

export interface ClientsOptions {
  readonly world: World;
  readonly model: HistoryModel;
  readonly settings: HistorySettings;
  /** The daemon that serves clients now. */
  readonly target: (request: PlannedRequest) => DaemonHost | undefined;
}

/** @param failure undefined on success */
type Answered = (failure: string | undefined) => void;

export class SimulatedClients {
  readonly #clients: Client[];

  constructor(
    readonly options: ClientsOptions,
    requests: readonly PlannedRequest[],
  ) {
    this.#clients = Array.from(
      { length: options.settings.clientCount },
      (_, index) =>
        new Client(
          this,
          requests.filter(({ client }) => client === index),
        ),
    );
  }

  get isDone(): boolean {
    return this.#clients.every((client) => client.isDone);
  }

  start(): void {
    for (const client of this.#clients) client.start();
  }

  /** The daemon is gone: its unanswered requests are asked again, elsewhere or of its next life. */
  daemonDied(host: DaemonHost): void {
    for (const client of this.#clients) client.daemonDied(host);
  }

  describe(): string {
    return this.#clients.map((client) => client.describe()).join('; ');
  }

  /** Hands one request to a volume and its outcome to the model. Happens in the daemon's process. */
  submit(host: DaemonHost, volume: Volume, planned: PlannedRequest, answered: Answered): void {
    const { world, model, settings } = this.options;
    const isChange = planned.kind !== 'read' && planned.kind !== 'flush';
    const change = isChange ? model.submitChange(host.attachmentId, planned) : undefined;
    const asked = isChange ? undefined : model.submitOther(host.attachmentId);
    const request = toBlockRequest(planned, change?.id ?? 0, settings.blockBytes);
    const what = `${planned.kind} ${change?.id ?? `(request ${planned.number})`}`;
    const where = planned.kind === 'flush' ? '' : ` [${planned.first}, +${planned.count}]`;
    world.note(
      `client ${planned.client} → ${host.attachmentId}: ${what}${where}${planned.fua ? ' FUA' : ''}`,
    );
    world.count(`requests: ${planned.kind}${planned.fua ? ' with FUA' : ''}`);
    let isAnswered = false;
    let isAtOnce = true;
    volume.submit(request, (_request: BlockRequest, result: BlockResult) => {
      if (isAnswered) world.broken('one answer', `${what} was answered twice`);
      isAnswered = true;
      const { error } = result;
      world.note(
        `client ${planned.client} ← ${host.attachmentId}: ${what} ${error?.message ?? 'done'}`,
      );
      if (error !== undefined) {
        world.count('requests that failed');
        if (change !== undefined) model.changeFailed(change);
        if (isServing(volume)) model.unexplainedError(what, error.message);
      } else if (change !== undefined) model.changeSucceeded(change);
      else if (asked !== undefined && planned.kind === 'read') {
        if (isAtOnce) world.count('reads answered with what was read ahead');
        model.readSucceeded(asked, planned.first, joined(result.payload));
      } else if (asked !== undefined) model.flushSucceeded(asked);
      answered(error?.message);
    });
    isAtOnce = false;
    const longestBytes = LONGEST_BLOCKS * settings.blockBytes;
    if (isServing(volume) && volume.unflushedBytes >= settings.replayBytesMax + longestBytes)
      world.broken('limits', `${volume.unflushedBytes} bytes in the replay log`);
  }
}

class Client {
  readonly #waiting: PlannedRequest[];
  readonly #asked = new Map<PlannedRequest, DaemonHost>();
  #cancelLook: (() => void) | undefined;
  #notBeforeMs = 0;

  constructor(
    readonly all: SimulatedClients,
    requests: readonly PlannedRequest[],
  ) {
    this.#waiting = [...requests];
  }

  get isDone(): boolean {
    return this.#waiting.length === 0 && this.#asked.size === 0;
  }

  start(): void {
    this.#lookIn(this.#waiting[0]?.gapMs ?? 0);
  }

  daemonDied(host: DaemonHost): void {
    const unanswered = [...this.#asked].filter(([, asked]) => asked === host).map(([one]) => one);
    if (unanswered.length === 0) return;
    const { world, settings } = this.all.options;
    for (const request of unanswered) this.#asked.delete(request);
    if (settings.clientsAskAgain) {
      this.#waiting.unshift(...unanswered);
      world.count('requests asked again after a daemon died', unanswered.length);
    }
    this.#lookIn(0);
  }

  describe(): string {
    const asked = [...this.#asked].map(([one, host]) => `${one.number} at ${host.attachmentId}`);
    return `${this.#waiting.length} wait, unanswered: ${asked.join(', ')}`;
  }

  #lookIn(delayMs: number): void {
    this.#cancelLook?.();
    this.#cancelLook = this.all.options.world.schedule(delayMs, () => {
      this.#cancelLook = undefined;
      this.#look();
    });
  }

  /** Sends what may be sent now: requests without a gap between them go in one turn of the daemon. */
  #look(): void {
    const { world, settings, target } = this.all.options;
    const first = this.#waiting[0];
    if (first === undefined) return;
    if (this.#notBeforeMs > world.nowMs) {
      this.#lookIn(this.#notBeforeMs - world.nowMs);
      return;
    }
    const host = target(first);
    if (host === undefined || this.#asked.size >= settings.clientDepth) {
      this.#lookIn(LOOK_AGAIN_MS);
      return;
    }
    const burst: PlannedRequest[] = [];
    while (this.#asked.size < settings.clientDepth) {
      const next = this.#waiting[0];
      if (next === undefined || (burst.length > 0 && next.gapMs > 0)) break;
      this.#waiting.shift();
      this.#asked.set(next, host);
      burst.push(next);
    }
    this.#notBeforeMs = world.nowMs + (this.#waiting[0]?.gapMs ?? 0);
    host.process.deliver(() => {
      this.#submit(host, burst);
    });
    this.#lookIn(LOOK_AGAIN_MS);
  }

  /** In the daemon's process. What finds no room waits until there is some. */
  #submit(host: DaemonHost, requests: PlannedRequest[]): void {
    const { volume, process } = host;
    if (volume === undefined) return;
    for (let next = requests.shift(); next !== undefined; next = requests.shift()) {
      const planned = next;
      if (!volume.hasRoom()) {
        this.all.options.world.count('clients that waited for room');
        volume.whenRoom(() => {
          process.defer(() => {
            this.#submit(host, [planned, ...requests]);
          });
        });
        return;
      }
      this.all.submit(host, volume, planned, () => {
        if (this.#asked.get(planned) === host) this.#asked.delete(planned);
        this.#lookIn(0);
      });
    }
  }
}

function isServing(volume: Volume): boolean {
  const { name } = volume.state;
  return (name === 'active' || name === 'holding') && !volume.draining;
}

function toBlockRequest(
  planned: PlannedRequest,
  content: number,
  blockBytes: number,
): BlockRequest {
  const { kind, first, count, fua } = planned;
  const flags = fua ? BLOCK_FLAG.FUA : 0;
  switch (kind) {
    case 'read':
      return readRequest(first * blockBytes, count * blockBytes);
    case 'flush':
      return flushRequest();
    case 'write':
      return writeRequest(
        first * blockBytes,
        rangeContent(content, first, count, blockBytes),
        flags,
      );
    case 'trim':
    case 'write-zeroes':
      return rangeRequest(kind, first * blockBytes, count * blockBytes, flags);
  }
}
