/**
 * How many clients there may be at one address: in all, from one machine, and such as have not said what they want
 * yet. Of the last the one that has been at it longest gives way, as real clients are done in milliseconds: who only
 * connects and waits keeps nobody out.
 */

export interface PlaceLimits {
  readonly connectionsMax: number;
  /** From one machine; those on unix sockets are of this one, and not counted. */
  readonly connectionsPerPeerMax: number;
  /** That have not said what they want yet. */
  readonly handshakesMax: number;
}

/** For the sentences. */
export interface PlaceWords {
  /** What a client does first: 'chosen an export'. */
  readonly firstAct: string;
  /** Before the names of the settings: 'nbd.'. */
  readonly settingsPrefix: string;
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

  constructor(
    readonly limits: PlaceLimits,
    readonly words: PlaceWords,
  ) {}

  get count(): number {
    return this.#holders.size;
  }

  holders(): Holder[] {
    return [...this.#holders.keys()];
  }

  /** @returns why a client has no place, or undefined */
  refusal(peer: string | undefined): string | undefined {
    const { connectionsMax, connectionsPerPeerMax } = this.limits;
    const { settingsPrefix } = this.words;
    if (this.#holders.size >= connectionsMax)
      return `refused: ${connectionsMax} clients are connected (${settingsPrefix}connections_max)`;
    if (peer !== undefined && (this.#perPeer.get(peer) ?? 0) >= connectionsPerPeerMax) {
      return (
        `refused: ${connectionsPerPeerMax} clients of this machine are connected ` +
        `(${settingsPrefix}connections_per_peer_max)`
      );
    }
    return undefined;
  }

  /** After `refusal` had nothing to say. */
  take(holder: Holder, peer: string | undefined): void {
    const { handshakesMax } = this.limits;
    const { firstAct, settingsPrefix } = this.words;
    this.#holders.set(holder, peer);
    if (peer !== undefined) this.#perPeer.set(peer, (this.#perPeer.get(peer) ?? 0) + 1);
    this.#unidentified.add(holder);
    if (this.#unidentified.size <= handshakesMax) return;
    const [oldest] = this.#unidentified;
    if (oldest === undefined) return;
    this.#unidentified.delete(oldest);
    oldest.giveWay(
      `it had not ${firstAct} when ${handshakesMax} others came that had not either (${settingsPrefix}handshakes_max)`,
    );
  }

  /** The client has said what it wants. */
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
