/**
 * How many NBD clients there may be at one address: in all, from one machine, and such as have not chosen an export
 * yet. Of the last the one that has been at it longest gives way, as real clients are done in milliseconds: who only
 * connects and waits keeps nobody out.
 */

export interface PlaceLimits {
  readonly connectionsMax: number;
  /** From one machine; those on unix sockets are of this one, and not counted. */
  readonly connectionsPerPeerMax: number;
  /** That have not chosen an export yet. */
  readonly handshakesMax: number;
}

/** What has a place, until it is told to give way. */
export interface PlaceHolder {
  giveWay(reason: string): void;
}

export class ConnectionPlaces<Holder extends PlaceHolder> {
  /** With the machine each comes from; undefined: from this one. */
  readonly #holders = new Map<Holder, string | undefined>();
  readonly #perPeer = new Map<string, number>();
  /** In the order in which they came. */
  readonly #unidentified = new Set<Holder>();

  constructor(readonly limits: PlaceLimits) {}

  get count(): number {
    return this.#holders.size;
  }

  holders(): Holder[] {
    return [...this.#holders.keys()];
  }

  /** @returns why a client has no place, or undefined */
  refusal(peer: string | undefined): string | undefined {
    const { connectionsMax, connectionsPerPeerMax } = this.limits;
    if (this.#holders.size >= connectionsMax)
      return `refused: ${connectionsMax} clients are connected (nbd.connections_max)`;
    if (peer !== undefined && (this.#perPeer.get(peer) ?? 0) >= connectionsPerPeerMax) {
      return (
        `refused: ${connectionsPerPeerMax} clients of this machine are connected ` +
        '(nbd.connections_per_peer_max)'
      );
    }
    return undefined;
  }

  /** After `refusal` had nothing to say. */
  take(holder: Holder, peer: string | undefined): void {
    const { handshakesMax } = this.limits;
    this.#holders.set(holder, peer);
    if (peer !== undefined) this.#perPeer.set(peer, (this.#perPeer.get(peer) ?? 0) + 1);
    this.#unidentified.add(holder);
    if (this.#unidentified.size <= handshakesMax) return;
    const [oldest] = this.#unidentified;
    if (oldest === undefined) return;
    this.#unidentified.delete(oldest);
    oldest.giveWay(
      `it had not chosen an export when ${handshakesMax} others came that had not either (nbd.handshakes_max)`,
    );
  }

  /** The client has chosen an export. */
  identified(holder: Holder): void {
    this.#unidentified.delete(holder);
  }

  give(holder: Holder): void {
    const peer = this.#holders.get(holder);
    if (!this.#holders.delete(holder)) return;
    this.#unidentified.delete(holder);
    if (peer === undefined) return;
    const left = (this.#perPeer.get(peer) ?? 0) - 1;
    if (left > 0) this.#perPeer.set(peer, left);
    else this.#perPeer.delete(peer);
  }
}
