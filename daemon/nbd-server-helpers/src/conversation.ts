/**
 * Runs one side of a handshake. The side itself is a generator that reads like the specification: it
 * asks for bytes, sends some, and ends in an outcome; where it stands is its whole state. This file
 * gives it the bytes, however they were cut on their way, and gathers what it sends.
 */
import assert from 'node:assert/strict';
import { ByteQueue } from './byte-queue.js';
import { NbdProtocolError } from './protocol-error.js';

/** What a side waits for: bytes to read, bytes to throw away, or TLS around the connection. */
export type Wish =
  | { readonly kind: 'bytes'; readonly count: number }
  | { readonly kind: 'skip'; remaining: number }
  | { readonly kind: 'tls' };

/** A side of a handshake: yields wishes, gets the bytes it wished for, returns its outcome. */
export type Script<Outcome> = Generator<Wish, Outcome, Buffer>;

export interface ConversationStep<Outcome> {
  /** Bytes to send now, before the outcome is acted on; may be empty. */
  readonly send: Buffer;
  /** Undefined while the handshake goes on. */
  readonly outcome: Outcome | StartTls | undefined;
}

/**
 * The connection must be wrapped in TLS after `send` is sent; then call `tlsEstablished` and go on with
 * the bytes that come out of TLS.
 */
export interface StartTls {
  readonly kind: 'start-tls';
}

const NOTHING = Buffer.alloc(0);

const AT_ONCE: Wish = { kind: 'bytes', count: 0 };

type State<Outcome> =
  | { readonly name: 'waiting'; readonly script: Script<Outcome>; readonly wish: Wish }
  /** The outcome was told. What the other side still sends (the reply to an ABORT) is for nobody. */
  | { readonly name: 'ended' }
  /** The outcome was told, and the script took what follows: the rest belongs to somebody else. */
  | { readonly name: 'handed-over' }
  /** Not begun, or the script threw; also while it runs, until it gets to a wish or an outcome. */
  | { readonly name: 'broken' };

export class Conversation<Outcome> {
  readonly #received = new ByteQueue();
  #sending: Buffer[] = [];
  #restIsTaken = false;
  #state: State<Outcome> = { name: 'broken' };

  /** To be called by the script: bytes for the other side. */
  send(bytes: Buffer): void {
    this.#sending.push(bytes);
  }

  /** To be called by the script when it ends: what follows the handshake. */
  takeRest(): Buffer {
    this.#restIsTaken = true;
    return this.#received.takeAll();
  }

  /** Runs the script up to its first wish that is not granted at once. @returns what it sends first */
  begin(script: Script<Outcome>): Buffer {
    return this.#advance(script, AT_ONCE).send;
  }

  /**
   * @returns nothing to do for bytes after the end, unless they belong to the transmission phase
   * @throws NbdProtocolError: close the connection
   */
  push(chunk: Buffer): ConversationStep<Outcome> {
    const state = this.#state;
    assert(state.name !== 'handed-over', 'these bytes belong to the transmission phase');
    if (state.name === 'ended') return this.#step(undefined);
    if (state.name === 'broken') {
      throw new NbdProtocolError('the handshake was broken off before');
    }
    if (state.wish.kind === 'tls') {
      this.#state = { name: 'broken' };
      throw new NbdProtocolError('plain text was received where TLS was to begin');
    }
    this.#received.push(chunk);
    return this.#advance(state.script, state.wish);
  }

  /** TLS is up: the script goes on, and sends what it has to send first. */
  tlsEstablished(): ConversationStep<Outcome> {
    const state = this.#state;
    assert(state.name === 'waiting' && state.wish.kind === 'tls', 'TLS was not asked for');
    return this.#advance(state.script, AT_ONCE);
  }

  /** Grants wish after wish, as long as the bytes received suffice. */
  #advance(script: Script<Outcome>, firstWish: Wish): ConversationStep<Outcome> {
    this.#state = { name: 'broken' };
    for (let wish = firstWish; ;) {
      const granted = this.#grant(wish);
      if (granted === undefined) {
        this.#state = { name: 'waiting', script, wish };
        return this.#step(wish.kind === 'tls' ? { kind: 'start-tls' } : undefined);
      }
      const next = script.next(granted);
      if (next.done === true) {
        this.#state = { name: this.#restIsTaken ? 'handed-over' : 'ended' };
        return this.#step(next.value);
      }
      wish = next.value;
    }
  }

  /** @returns the bytes asked for, or undefined if the wish has to wait */
  #grant(wish: Wish): Buffer | undefined {
    switch (wish.kind) {
      case 'bytes':
        return this.#received.length >= wish.count ? this.#received.take(wish.count) : undefined;
      case 'skip':
        wish.remaining -= this.#received.skip(wish.remaining);
        return wish.remaining === 0 ? NOTHING : undefined;
      case 'tls':
        // Bytes sent before TLS must not be taken for bytes that came through it.
        if (this.#received.length === 0) return undefined;
        throw new NbdProtocolError('plain text follows the option that begins TLS');
    }
  }

  #step(outcome: Outcome | StartTls | undefined): ConversationStep<Outcome> {
    const send = Buffer.concat(this.#sending);
    this.#sending = [];
    return { send, outcome };
  }
}
