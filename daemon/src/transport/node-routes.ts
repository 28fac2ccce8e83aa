/**
 * StorageClient of a node that has several addresses, one for each network that it is in. One of them is in
 * use; when nothing comes back over it, the others are tried, and the first that answers is used from then on.
 * Nothing is sent twice here: a call or session that fails has failed, and the next one goes another way.
 *
 * Every address must lead to the same node: it is asked for its id before anything else goes there.
 */
import type { Clock } from '../runtime/clock.js';
import { StorageError } from '../rpc/storage-error.js';
import type {
  AcquireLeaseRequestMessage,
  CreateVolumeReplyMessage,
  CreateVolumeRequestMessage,
  DeleteVolumeRequestMessage,
  LeaseMessage,
  NodeMessage,
  OpenFrame,
  ReleaseLeaseRequestMessage,
  ResizeVolumeRequestMessage,
  VolumeMessage,
} from '../rpc/storage-messages.js';
import type { SessionEvents, StorageClient, StorageSession } from './storage-client.js';
import { SoughtSession } from './sought-session.js';

/** The next address is asked when one has been silent for so long (RFC 8305, section 5), or has refused. */
const NEXT_ADDRESS_MS = 250;

export interface NodeRoutesOptions {
  /** Two or more, the preferred one first. */
  readonly addresses: readonly string[];
  readonly create: (address: string) => StorageClient;
  /**
   * An address that has not answered by then is given up, and with it the connection that was begun: one that
   * was begun while the network was down would go on only when TCP asks again.
   */
  readonly answerTimeoutMs: number;
  readonly clock: Clock;
}

interface Route {
  readonly address: string;
  readonly client: StorageClient;
}

export class NodeRoutes implements StorageClient {
  readonly address: string;
  readonly #routes: Route[];
  readonly #clock: Clock;
  readonly #answerTimeoutMs: number;
  /** The one that answered last. Undefined while none is known to lead to the node. */
  #used: Route | undefined;
  /** Where a search begins: behind the one that failed. */
  #first = 0;
  #search: Promise<Route> | undefined;
  /** The node's id, and by which address it was heard. */
  #node: { readonly id: string; readonly address: string } | undefined;

  constructor({ addresses, create, answerTimeoutMs, clock }: NodeRoutesOptions) {
    this.address = addresses.join(',');
    this.#routes = addresses.map((address) => ({ address, client: create(address) }));
    this.#clock = clock;
    this.#answerTimeoutMs = answerTimeoutMs;
  }

  getNode(): Promise<NodeMessage> {
    return this.#call((client) => client.getNode());
  }

  createVolume(request: CreateVolumeRequestMessage): Promise<CreateVolumeReplyMessage> {
    return this.#call((client) => client.createVolume(request));
  }

  listVolumes(): Promise<VolumeMessage[]> {
    return this.#call((client) => client.listVolumes());
  }

  getVolume(name: string): Promise<VolumeMessage> {
    return this.#call((client) => client.getVolume(name));
  }

  resizeVolume(request: ResizeVolumeRequestMessage): Promise<VolumeMessage> {
    return this.#call((client) => client.resizeVolume(request));
  }

  deleteVolume(request: DeleteVolumeRequestMessage): Promise<void> {
    return this.#call((client) => client.deleteVolume(request));
  }

  acquireLease(request: AcquireLeaseRequestMessage): Promise<LeaseMessage> {
    return this.#call((client) => client.acquireLease(request));
  }

  releaseLease(request: ReleaseLeaseRequestMessage): Promise<void> {
    return this.#call((client) => client.releaseLease(request));
  }

  openSession(open: Omit<OpenFrame, 'kind'>, events: SessionEvents): StorageSession {
    const openAt = (route: Route): StorageSession =>
      route.client.openSession(open, {
        opened: (facts) => {
          events.opened(facts);
        },
        completed: (sequence, result) => {
          events.completed(sequence, result);
        },
        verifierSeen: (writeVerifier) => {
          events.verifierSeen(writeVerifier);
        },
        resized: (sizeBytes) => {
          events.resized(sizeBytes);
        },
        ended: (reason) => {
          this.#failed(route, reason);
          events.ended(reason);
        },
      });
    if (this.#used !== undefined) return openAt(this.#used);
    const way = this.#route().then((route) => () => openAt(route));
    return new SoughtSession(way, (reason) => {
      events.ended(reason);
    });
  }

  onceConnected(callback: () => void): () => void {
    const takeBack = this.#routes.map(({ client }) => client.onceConnected?.(callback));
    return () => {
      for (const one of takeBack) one?.();
    };
  }

  close(): void {
    for (const { client } of this.#routes) client.close();
  }

  async #call<Reply>(call: (client: StorageClient) => Promise<Reply>): Promise<Reply> {
    const route = await this.#route();
    try {
      return await call(route.client);
    } catch (error) {
      this.#failed(route, StorageError.from(error));
      throw error;
    }
  }

  /** What a node refuses it was there to refuse; only the way to it is given up. */
  #failed(route: Route, { kind }: StorageError): void {
    if (route !== this.#used || (kind !== 'unavailable' && kind !== 'damaged')) return;
    this.#used = undefined;
    this.#first = (this.#routes.indexOf(route) + 1) % this.#routes.length;
  }

  /** @throws StorageError 'unavailable' if the node answers at none of its addresses */
  async #route(): Promise<Route> {
    if (this.#used !== undefined) return this.#used;
    this.#search ??= this.#seek().finally(() => {
      this.#search = undefined;
    });
    return this.#search;
  }

  /** Asks one address after the other, without waiting long for any; the first answer counts. */
  #seek(): Promise<Route> {
    const waiting = [...this.#routes.slice(this.#first), ...this.#routes.slice(0, this.#first)];
    const failures: StorageError[] = [];
    return new Promise((resolve, reject) => {
      let cancelTimer: (() => void) | undefined;
      let isOver = false;
      const askNext = (): void => {
        cancelTimer?.();
        const route = waiting.shift();
        if (route === undefined || isOver) return;
        if (waiting.length > 0) cancelTimer = this.#clock.setTimer(NEXT_ADDRESS_MS, askNext);
        this.#ask(route).then(
          () => {
            isOver = true;
            cancelTimer?.();
            this.#used ??= route;
            resolve(this.#used);
          },
          (error: unknown) => {
            failures.push(StorageError.from(error));
            askNext();
            if (failures.length === this.#routes.length) reject(atNone(failures));
          },
        );
      };
      askNext();
    });
  }

  /** @throws StorageError if another node answers there, or none */
  async #ask({ address, client }: Route): Promise<void> {
    const { nodeId } = await client.getNode(this.#answerTimeoutMs);
    this.#node ??= { id: nodeId, address };
    if (nodeId === this.#node.id) return;
    throw new StorageError(
      'unavailable',
      `${address} is another node (its id is ${nodeId}) than ${this.#node.address} (${this.#node.id}): ` +
        'name only addresses of one node together',
    );
  }
}

function atNone(failures: readonly StorageError[]): StorageError {
  const [only, ...others] = [...new Set(failures.map(({ message }) => message))];
  const kinds = new Set(failures.map(({ kind }) => kind));
  // Told as one of them if all say the same, as that the certificate is not believed.
  const kind = kinds.size === 1 && failures[0] !== undefined ? failures[0].kind : 'unavailable';
  return new StorageError(kind, [only, ...others].join('; '), { cause: failures[0] });
}
