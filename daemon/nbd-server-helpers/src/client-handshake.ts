/**
 * The client's side of the newstyle handshake: received bytes in, bytes to send and at last a result
 * out. For the NBD backend and for tests. It asks for the best kind of replies allowed to it and takes
 * what the server grants; a server that knows only NBD_OPT_EXPORT_NAME is served too.
 */
import {
  NBD_CLIENT_FLAG,
  NBD_DEFAULT_SIZES,
  NBD_HANDSHAKE_FLAG,
  NBD_INFO,
  NBD_OPT,
  NBD_REP,
  NBD_STRING_BYTES_MAX,
} from './constants.js';
import { Conversation, type Script, type StartTls } from './conversation.js';
import {
  EXPORT_NAME_REPLY_BYTES,
  EXPORT_NAME_ZEROES_BYTES,
  completeFacts,
  decodeExportNameReply,
  decodeInfo,
  decodeListedExport,
  encodeInfoRequest,
  type ExportFacts,
  type LearnedFacts,
  type ListedExport,
} from './info.js';
import { GREETING_BYTES, decodeGreeting } from './greeting.js';
import { decodeMetaContext, encodeMetaContextRequest, type MetaContext } from './meta-context.js';
import {
  OPTION_REPLY_HEADER_BYTES,
  decodeOptionReplyHeader,
  encodeOption,
  isErrorReply,
} from './option.js';
import { NbdProtocolError } from './protocol-error.js';
import type { NegotiatedSession } from './server-options.js';
import type { ReplyKind } from './structured-reply.js';
import { InvalidOptionData } from './wire-string.js';

/** Longest data of one option reply: two strings of full length and what stands around them. */
export const OPTION_REPLY_BYTES_MAX = 2 * NBD_STRING_BYTES_MAX + 64;

/** Most replies to one option; a list of exports is the longest. */
export const OPTION_REPLIES_MAX = 65536;

export interface ClientHandshakeOptions {
  /** '' asks for the server's default export. Ignored for purpose 'list'. */
  readonly exportName: string;
  /** 'go' enters the export, 'info' only asks about it, 'list' asks which exports there are. */
  readonly purpose: 'go' | 'info' | 'list';
  /** The best kind of replies to ask for. */
  readonly replyKind: ReplyKind;
  /** Names of metadata contexts wanted; those that the server lacks are left out of the session. */
  readonly metaContexts: readonly string[];
  /** 'preferred' goes on in plain text where the server refuses TLS, 'required' does not. */
  readonly tls: 'never' | 'preferred' | 'required';
}

export type ClientOutcome =
  | {
      readonly kind: 'transmission';
      readonly session: NegotiatedSession;
      /** Bytes received that already belong to the transmission phase. */
      readonly leftover: Buffer;
    }
  | { readonly kind: 'info'; readonly facts: ExportFacts }
  | { readonly kind: 'list'; readonly exports: readonly ListedExport[] }
  | StartTls
  /** The server will not serve us; `reply` is the NBD_REP error, if it sent one. Close the connection. */
  | { readonly kind: 'refused'; readonly reason: string; readonly reply?: number };

export interface ClientStep {
  /** To be sent now, before the outcome is acted on; may be empty. */
  readonly send: Buffer;
  /** Undefined while the handshake goes on. After 'transmission' nothing may be pushed, after an end it is ignored. */
  readonly outcome: ClientOutcome | undefined;
}

type Ending = Exclude<ClientOutcome, StartTls>;

/** Everything that the server replied to one option. */
interface Replies {
  /** Data of the replies before the last one, all of them of the type that the option brings. */
  readonly items: readonly Buffer[];
  /** NBD_REP_ACK or an error. */
  readonly last: number;
  /** The text of an error. */
  readonly text: string;
}

const NOTHING = Buffer.alloc(0);

export class ClientHandshake {
  readonly #options: ClientHandshakeOptions;
  readonly #conversation = new Conversation<Ending>();

  constructor(options: ClientHandshakeOptions) {
    this.#options = options;
    this.#conversation.begin(this.#script());
  }

  /**
   * Adds received bytes; the server speaks first.
   *
   * @throws NbdProtocolError if the server broke the rules: close the connection
   */
  push(chunk: Buffer): ClientStep {
    return this.#conversation.push(chunk);
  }

  /** After the outcome 'start-tls', once TLS is up; `push` then gets what comes out of TLS. */
  tlsEstablished(): ClientStep {
    return this.#conversation.tlsEstablished();
  }

  *#script(): Script<Ending> {
    const serverFlags = decodeGreeting(yield { kind: 'bytes', count: GREETING_BYTES });
    const isFixed = (serverFlags & NBD_HANDSHAKE_FLAG.FIXED_NEWSTYLE) !== 0;
    const omitsZeroes = (serverFlags & NBD_HANDSHAKE_FLAG.NO_ZEROES) !== 0;
    const clientFlags = Buffer.alloc(4);
    clientFlags.writeUInt32BE(
      (isFixed ? NBD_CLIENT_FLAG.FIXED_NEWSTYLE : 0) |
        (omitsZeroes ? NBD_CLIENT_FLAG.NO_ZEROES : 0),
      0,
    );
    this.#conversation.send(clientFlags);
    if (!isFixed) {
      const { purpose, tls } = this.#options;
      if (purpose === 'go' && tls !== 'required') return yield* this.#exportName(omitsZeroes);
      return { kind: 'refused', reason: 'the server speaks only the oldest newstyle handshake' };
    }
    const refusal = yield* this.#startTls();
    if (refusal !== undefined) return refusal;
    if (this.#options.purpose === 'list') return yield* this.#list();
    const replyKind = yield* this.#agreeOnReplies();
    const contexts = yield* this.#selectContexts(replyKind);
    return yield* this.#enter(replyKind, contexts, omitsZeroes);
  }

  *#startTls(): Script<Ending | undefined> {
    const { tls } = this.#options;
    if (tls === 'never') return undefined;
    const { last, text } = yield* this.#ask(NBD_OPT.STARTTLS, NOTHING);
    if (last === NBD_REP.ACK) {
      yield { kind: 'tls' };
      return undefined;
    }
    if (tls === 'preferred') return undefined;
    return this.#abort(`TLS is required, but the server refuses it: ${text}`, last);
  }

  *#list(): Script<Ending> {
    const { items, last, text } = yield* this.#ask(NBD_OPT.LIST, NOTHING, NBD_REP.SERVER);
    if (last !== NBD_REP.ACK) return this.#abort(`the server lists no exports: ${text}`, last);
    const exports = items.map((item) => trusted(() => decodeListedExport(item)));
    this.#conversation.send(encodeOption(NBD_OPT.ABORT, NOTHING));
    return { kind: 'list', exports };
  }

  /** The best kind that both sides know. */
  *#agreeOnReplies(): Script<ReplyKind> {
    const { replyKind } = this.#options;
    if (replyKind === 'extended') {
      const { last } = yield* this.#ask(NBD_OPT.EXTENDED_HEADERS, NOTHING);
      if (last === NBD_REP.ACK) return 'extended';
    }
    if (replyKind !== 'simple') {
      const { last } = yield* this.#ask(NBD_OPT.STRUCTURED_REPLY, NOTHING);
      if (last === NBD_REP.ACK) return 'structured';
    }
    return 'simple';
  }

  /** An error here means only that the server has no contexts for us. */
  *#selectContexts(replyKind: ReplyKind): Script<MetaContext[]> {
    const { exportName, metaContexts } = this.#options;
    if (metaContexts.length === 0 || replyKind === 'simple') return [];
    const data = encodeMetaContextRequest(exportName, metaContexts);
    const option = NBD_OPT.SET_META_CONTEXT;
    const { items, last } = yield* this.#ask(option, data, NBD_REP.META_CONTEXT);
    if (last !== NBD_REP.ACK) return [];
    return items.map((item) => trusted(() => decodeMetaContext(item)));
  }

  /** NBD_OPT_GO or NBD_OPT_INFO, and for a server that does not know GO the old way. */
  *#enter(
    replyKind: ReplyKind,
    metaContexts: readonly MetaContext[],
    omitsZeroes: boolean,
  ): Script<Ending> {
    const { exportName, purpose } = this.#options;
    const wanted = [NBD_INFO.NAME, NBD_INFO.DESCRIPTION, NBD_INFO.BLOCK_SIZE];
    const option = purpose === 'go' ? NBD_OPT.GO : NBD_OPT.INFO;
    const data = encodeInfoRequest(exportName, wanted);
    const { items, last, text } = yield* this.#ask(option, data, NBD_REP.INFO);
    if (last === NBD_REP.ERR_UNSUP && purpose === 'go' && replyKind !== 'extended') {
      return yield* this.#exportName(omitsZeroes, replyKind, metaContexts);
    }
    if (last !== NBD_REP.ACK) return this.#abort(`export '${exportName}': ${text}`, last);
    const learned: LearnedFacts = {};
    for (const item of items) decodeInfo(item, learned);
    const facts = completeFacts(
      learned,
      exportName,
      metaContexts.map(({ name }) => name),
    );
    if (purpose !== 'go') {
      this.#conversation.send(encodeOption(NBD_OPT.ABORT, NOTHING));
      return { kind: 'info', facts };
    }
    return this.#transmission(facts, replyKind, metaContexts);
  }

  /** Enters the export in the old way: no error can be told, the server just closes the connection. */
  *#exportName(
    omitsZeroes: boolean,
    replyKind: ReplyKind = 'simple',
    metaContexts: readonly MetaContext[] = [],
  ): Script<Ending> {
    const { exportName } = this.#options;
    this.#conversation.send(encodeOption(NBD_OPT.EXPORT_NAME, Buffer.from(exportName, 'utf8')));
    const learned = decodeExportNameReply(yield { kind: 'bytes', count: EXPORT_NAME_REPLY_BYTES });
    if (!omitsZeroes) yield { kind: 'skip', remaining: EXPORT_NAME_ZEROES_BYTES };
    const names = metaContexts.map(({ name }) => name);
    const facts = { ...NBD_DEFAULT_SIZES, ...completeFacts(learned, exportName, names) };
    return this.#transmission(facts, replyKind, metaContexts);
  }

  #transmission(
    facts: ExportFacts,
    replyKind: ReplyKind,
    metaContexts: readonly MetaContext[],
  ): Ending {
    const session = {
      exportName: facts.name,
      replyKind,
      extendedHeaders: replyKind === 'extended',
      metaContexts,
      facts,
    };
    return { kind: 'transmission', session, leftover: this.#conversation.takeRest() };
  }

  #abort(reason: string, reply: number): Ending {
    this.#conversation.send(encodeOption(NBD_OPT.ABORT, NOTHING));
    return { kind: 'refused', reason, reply };
  }

  /**
   * Sends an option and reads its replies.
   *
   * @param itemType the type of reply that may come before the last one
   * @throws NbdProtocolError on a reply to something else, of another type, or beyond the limits
   */
  *#ask(option: number, data: Buffer, itemType?: number): Script<Replies> {
    this.#conversation.send(encodeOption(option, data));
    const items: Buffer[] = [];
    for (;;) {
      const bytes = yield { kind: 'bytes', count: OPTION_REPLY_HEADER_BYTES };
      const reply = decodeOptionReplyHeader(bytes);
      const { type, dataBytes } = reply;
      if (reply.option !== option) {
        throw new NbdProtocolError(`reply to option ${reply.option}, expected one to ${option}`);
      }
      if (dataBytes > OPTION_REPLY_BYTES_MAX) {
        throw new NbdProtocolError(
          `option reply of ${dataBytes} bytes, at most ${OPTION_REPLY_BYTES_MAX} are read`,
        );
      }
      const content = yield { kind: 'bytes', count: dataBytes };
      if (type === NBD_REP.ACK) return { items, last: type, text: '' };
      if (isErrorReply(type)) return { items, last: type, text: textOf(type, content) };
      if (type !== itemType || items.length === OPTION_REPLIES_MAX) {
        throw new NbdProtocolError(`unexpected reply of type ${type} to option ${option}`);
      }
      // Copied: the replies of a long list would otherwise keep all received chunks alive.
      items.push(Buffer.from(content));
    }
  }
}

/** What the server gave as its reason, or the name of the error. */
function textOf(type: number, content: Buffer): string {
  if (content.length > 0) return content.toString('utf8');
  const name = Object.entries(NBD_REP).find(([, number]) => number === type)?.[0];
  return name === undefined ? `error 0x${type.toString(16)}` : `NBD_REP_${name}`;
}

/** Data that a server sent must follow its layout: nobody could be told otherwise. */
function trusted<Value>(decode: () => Value): Value {
  try {
    return decode();
  } catch (cause) {
    if (!(cause instanceof InvalidOptionData)) throw cause;
    throw new NbdProtocolError(`bad reply from the server: ${cause.message}`, { cause });
  }
}
