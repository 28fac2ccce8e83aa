/**
 * The server's side of the fixed newstyle handshake: received bytes in, bytes to send and at last the
 * agreed session out. Here are the greeting, the framing of options, their limits and TLS; the answers
 * to single options are server-options.ts. Time limits are the caller's.
 */
import { NBD_CLIENT_FLAG, NBD_OPT, NBD_REP, NBD_STRING_BYTES_MAX } from './constants.js';
import { Conversation, type Script, type StartTls } from './conversation.js';
import { encodeGreeting } from './greeting.js';
import { OPTION_HEADER_BYTES, decodeOptionHeader, type OptionHeader } from './option.js';
import { NbdProtocolError } from './protocol-error.js';
import {
  OPTIONS_WITH_DATA,
  ServerOptions,
  acknowledge,
  errorOf,
  refused,
  type ExportDirectory,
  type NegotiatedSession,
  type OptionAnswer,
} from './server-options.js';

/**
 * Longest option data that is kept and read: an export name of full length and a dozen queries of
 * full length. Longer ones are skipped and answered with an error.
 */
export const OPTION_DATA_BYTES_MAX = 64 * 1024;

/**
 * Longest option data that is skipped; beyond it the connection is closed. The specification calls no
 * payload up to 2^25 bytes an attack.
 */
export const OPTION_SKIPPED_BYTES_MAX = 32 * 1024 * 1024;

/** Most options of one client: one that lists and asks about hundreds of exports stays below. */
export const OPTIONS_MAX = 1024;

/**
 * A client that was sent so much gets no further option answered. It can ask for a list of thousands
 * of exports a few times, but not make us fill memory by asking for it in a loop.
 */
export const HANDSHAKE_SENT_BYTES_MAX = 16 * 1024 * 1024;

/**
 * 'unavailable': everything in plain text. 'offered': TLS if the client asks for it.
 * 'required': no option but STARTTLS and ABORT before TLS.
 */
export type TlsMode = 'unavailable' | 'offered' | 'required';

export interface ServerHandshakeOptions {
  readonly exports: ExportDirectory;
  readonly tls: TlsMode;
  /**
   * Whether NBD_OPT_EXTENDED_HEADERS is granted. To be set only where every reply is written with its
   * request's offset: extended replies repeat it, and clients drop those in which it differs.
   * Default: false.
   */
  readonly extendedHeaders?: boolean;
}

/** How a handshake ends, or pauses. */
export type HandshakeOutcome =
  | {
      readonly kind: 'transmission';
      readonly session: NegotiatedSession;
      /** Bytes received that already belong to the transmission phase. */
      readonly leftover: Buffer;
    }
  | StartTls
  /** The connection ends in order: close it once everything is sent. */
  | { readonly kind: 'closed'; readonly reason: string };

export interface HandshakeStep {
  /** To be sent now, before the outcome is acted on; may be empty. */
  readonly send: Buffer;
  /** Undefined while the handshake goes on. After 'transmission' nothing may be pushed, after 'closed' it is ignored. */
  readonly outcome: HandshakeOutcome | undefined;
}

type Ending = Exclude<HandshakeOutcome, StartTls>;

const KNOWN_CLIENT_FLAGS = NBD_CLIENT_FLAG.FIXED_NEWSTYLE | NBD_CLIENT_FLAG.NO_ZEROES;

export class ServerHandshake {
  readonly #options: ServerHandshakeOptions;
  readonly #conversation = new Conversation<Ending>();
  #isSecure = false;
  #sentBytes = 0;

  constructor(options: ServerHandshakeOptions) {
    this.#options = options;
  }

  /** @returns the greeting, which is sent first */
  begin(): Buffer {
    return this.#conversation.begin(this.#script());
  }

  /**
   * Adds received bytes.
   *
   * @throws NbdProtocolError if the client broke the rules: close the connection
   */
  push(chunk: Buffer): HandshakeStep {
    return this.#conversation.push(chunk);
  }

  /**
   * After the outcome 'start-tls', once TLS is up; from now on `push` gets what comes out of TLS. What
   * was agreed in plain text is forgotten, the client begins anew with its options.
   */
  tlsEstablished(): void {
    this.#isSecure = true;
    this.#conversation.tlsEstablished();
  }

  *#script(): Script<Ending> {
    this.#send(encodeGreeting());
    const clientFlags = (yield { kind: 'bytes', count: 4 }).readUInt32BE(0);
    if ((clientFlags & ~KNOWN_CLIENT_FLAGS) !== 0) {
      throw new NbdProtocolError(`client flags 0x${clientFlags.toString(16)} are not all known`);
    }
    const isFixed = (clientFlags & NBD_CLIENT_FLAG.FIXED_NEWSTYLE) !== 0;
    const wantsZeroes = (clientFlags & NBD_CLIENT_FLAG.NO_ZEROES) === 0;
    let answers = this.#newAnswers(wantsZeroes);
    for (let count = 1; ; count += 1) {
      const header = decodeOptionHeader(yield { kind: 'bytes', count: OPTION_HEADER_BYTES });
      this.#checkLimits(header, count);
      if (!isFixed && header.option !== NBD_OPT.EXPORT_NAME) {
        throw new NbdProtocolError(
          `option ${header.option} from a client without NBD_FLAG_C_FIXED_NEWSTYLE`,
        );
      }
      const answer = yield* this.#answer(header, answers);
      if (answer === 'start-tls') {
        this.#send(acknowledge(header.option));
        yield { kind: 'tls' };
        answers = this.#newAnswers(wantsZeroes);
        continue;
      }
      this.#send(answer.send);
      if (answer.end === undefined) continue;
      if (answer.end.kind === 'closed') return answer.end;
      return { ...answer.end, leftover: this.#conversation.takeRest() };
    }
  }

  /** Nothing agreed yet. */
  #newAnswers(wantsZeroes: boolean): ServerOptions {
    const { exports, extendedHeaders = false } = this.#options;
    return new ServerOptions(exports, extendedHeaders, wantsZeroes);
  }

  #send(bytes: Buffer): void {
    this.#sentBytes += bytes.length;
    this.#conversation.send(bytes);
  }

  /** @throws NbdProtocolError where going on would cost us without end */
  #checkLimits({ option, dataBytes }: OptionHeader, count: number): void {
    if (dataBytes > OPTION_SKIPPED_BYTES_MAX) {
      throw new NbdProtocolError(
        `option ${option} announces ${dataBytes} bytes, more than the ${OPTION_SKIPPED_BYTES_MAX} that would be skipped`,
      );
    }
    if (count > OPTIONS_MAX) {
      throw new NbdProtocolError(`more than ${OPTIONS_MAX} options without choosing an export`);
    }
    if (this.#sentBytes > HANDSHAKE_SENT_BYTES_MAX) {
      throw new NbdProtocolError(
        `more than ${HANDSHAKE_SENT_BYTES_MAX} bytes of answers without choosing an export`,
      );
    }
  }

  /** Reads or skips the option's data, then finds the answer. */
  *#answer(header: OptionHeader, answers: ServerOptions): Script<OptionAnswer | 'start-tls'> {
    const { option, dataBytes } = header;
    const early = this.#answerUnread(header);
    // Where the connection ends, the data is not waited for.
    if (early !== undefined && early !== 'start-tls' && early.end !== undefined) return early;
    if (early === undefined && OPTIONS_WITH_DATA.has(option)) {
      const data = yield { kind: 'bytes', count: dataBytes };
      return answers.answer(option, data, dataBytes);
    }
    yield { kind: 'skip', remaining: dataBytes };
    return early ?? answers.answer(option, Buffer.alloc(0), dataBytes);
  }

  /** @returns the answer that does not depend on the data, if there is one */
  #answerUnread({ option, dataBytes }: OptionHeader): OptionAnswer | 'start-tls' | undefined {
    if (option === NBD_OPT.ABORT) {
      const reason = 'the client ended the negotiation';
      return { send: acknowledge(option), end: { kind: 'closed', reason } };
    }
    if (option === NBD_OPT.STARTTLS) return this.#answerStartTls(dataBytes);
    if (this.#options.tls === 'required' && !this.#isSecure) {
      const text = 'this server requires TLS: send NBD_OPT_STARTTLS first';
      if (option === NBD_OPT.EXPORT_NAME) return refused(text);
      return errorOf(option, NBD_REP.ERR_TLS_REQD, text);
    }
    if (option === NBD_OPT.EXPORT_NAME && dataBytes > NBD_STRING_BYTES_MAX) {
      return refused(
        `export name of ${dataBytes} bytes, at most ${NBD_STRING_BYTES_MAX} are allowed`,
      );
    }
    if (OPTIONS_WITH_DATA.has(option) && dataBytes > OPTION_DATA_BYTES_MAX) {
      const text = `${dataBytes} bytes of data, at most ${OPTION_DATA_BYTES_MAX} are read`;
      return errorOf(option, NBD_REP.ERR_TOO_BIG, text);
    }
    return undefined;
  }

  #answerStartTls(dataBytes: number): OptionAnswer | 'start-tls' {
    const option = NBD_OPT.STARTTLS;
    if (this.#options.tls === 'unavailable') {
      return errorOf(option, NBD_REP.ERR_POLICY, 'TLS is not configured on this server');
    }
    if (dataBytes > 0) return errorOf(option, NBD_REP.ERR_INVALID, 'STARTTLS carries no data');
    if (this.#isSecure) return errorOf(option, NBD_REP.ERR_INVALID, 'TLS is in use already');
    return 'start-tls';
  }
}
