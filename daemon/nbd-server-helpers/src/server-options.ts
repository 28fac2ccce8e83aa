/**
 * What a server answers to each option, and what it thereby agrees to. Whole options in, replies out;
 * framing, limits and TLS are the business of server-handshake.ts.
 */
import { NBD_INFO, NBD_OPT, NBD_REP } from './constants.js';
import {
  announcedFlags,
  decodeInfoRequest,
  encodeExportNameReply,
  encodeInfos,
  encodeListedExport,
  type ExportFacts,
  type ListedExport,
} from './info.js';
import {
  META_QUERIES_MAX,
  decodeMetaContextRequest,
  encodeMetaContext,
  listedContexts,
  selectedContexts,
  type MetaContext,
} from './meta-context.js';
import { encodeOptionError, encodeOptionReply } from './option.js';
import type { ReplyKind } from './structured-reply.js';
import { InvalidOptionData, decodeString } from './wire-string.js';

/** The exports of a server, as the handshake sees them. */
export interface ExportDirectory {
  list(): readonly ListedExport[];
  /** @param name '' asks for the default export @returns undefined if there is none of this name */
  find(name: string): ExportFacts | undefined;
}

/** What both sides agreed on for the transmission phase. */
export interface NegotiatedSession {
  /** The canonical name. */
  readonly exportName: string;
  readonly replyKind: ReplyKind;
  /** Requests have 32-byte headers; true exactly if replyKind is 'extended'. */
  readonly extendedHeaders: boolean;
  /** The contexts that a block status request is answered for; empty: such requests are refused. */
  readonly metaContexts: readonly MetaContext[];
  /** As announced: its transmissionFlags are those that the client saw. */
  readonly facts: ExportFacts;
}

/** What an option leads to. */
export interface OptionAnswer {
  readonly send: Buffer;
  /** Set if the handshake ends here. */
  readonly end?:
    | { readonly kind: 'transmission'; readonly session: NegotiatedSession }
    | { readonly kind: 'closed'; readonly reason: string };
}

/** Options whose data is read; the data of all others is thrown away and only its length counts. */
export const OPTIONS_WITH_DATA: ReadonlySet<number> = new Set([
  NBD_OPT.EXPORT_NAME,
  NBD_OPT.INFO,
  NBD_OPT.GO,
  NBD_OPT.LIST_META_CONTEXT,
  NBD_OPT.SET_META_CONTEXT,
]);

const NOTHING = Buffer.alloc(0);

export class ServerOptions {
  #replyKind: ReplyKind = 'simple';
  /** What NBD_OPT_SET_META_CONTEXT selected last, and for which export. */
  #contexts: { readonly exportName: string; readonly selected: readonly MetaContext[] } | undefined;

  constructor(
    readonly exports: ExportDirectory,
    readonly allowsExtendedHeaders: boolean,
    /** The client wants zeroes behind the answer to NBD_OPT_EXPORT_NAME. */
    readonly wantsZeroes: boolean,
  ) {}

  /** @param data empty for options that are not in OPTIONS_WITH_DATA @param dataBytes its length on the wire */
  answer(option: number, data: Buffer, dataBytes: number): OptionAnswer {
    try {
      return this.#answer(option, data, dataBytes);
    } catch (error) {
      if (!(error instanceof InvalidOptionData)) throw error;
      if (option === NBD_OPT.EXPORT_NAME) return refused(error.message);
      return errorOf(option, NBD_REP.ERR_INVALID, error.message);
    }
  }

  #answer(option: number, data: Buffer, dataBytes: number): OptionAnswer {
    switch (option) {
      case NBD_OPT.EXPORT_NAME:
        return this.#exportName(decodeString(data, 'export name'));
      case NBD_OPT.LIST:
        expectNoData(dataBytes);
        return this.#list(option);
      case NBD_OPT.INFO:
      case NBD_OPT.GO:
        return this.#info(option, data);
      case NBD_OPT.STRUCTURED_REPLY:
        expectNoData(dataBytes);
        return this.#structuredReply(option);
      case NBD_OPT.EXTENDED_HEADERS:
        if (!this.allowsExtendedHeaders) return unsupported(option);
        expectNoData(dataBytes);
        this.#replyKind = 'extended';
        return { send: acknowledge(option) };
      case NBD_OPT.LIST_META_CONTEXT:
      case NBD_OPT.SET_META_CONTEXT:
        return this.#metaContexts(option, data);
      default:
        return unsupported(option);
    }
  }

  /** The one option that cannot be answered with an error. */
  #exportName(name: string): OptionAnswer {
    if (this.#replyKind === 'extended') {
      return refused('NBD_OPT_EXPORT_NAME must not follow NBD_OPT_EXTENDED_HEADERS');
    }
    const facts = this.exports.find(name);
    if (facts === undefined) return refused(`export '${name}' is not available`);
    const session = this.#agree(facts);
    const { transmissionFlags } = session.facts;
    return {
      send: encodeExportNameReply(facts, transmissionFlags, this.wantsZeroes),
      end: { kind: 'transmission', session },
    };
  }

  #list(option: number): OptionAnswer {
    const replies = this.exports
      .list()
      .map((entry) => encodeOptionReply(option, NBD_REP.SERVER, encodeListedExport(entry)));
    return { send: Buffer.concat([...replies, acknowledge(option)]) };
  }

  /**
   * A client that did not ask for the block sizes is let in all the same, as qemu and nbdkit do: those
   * in use keep to 512 bytes or to what they are told anyway, and a request that does not fit is
   * refused without harm.
   */
  #info(option: number, data: Buffer): OptionAnswer {
    const { exportName, wanted } = decodeInfoRequest(data);
    const facts = this.exports.find(exportName);
    if (facts === undefined) return unknownExport(option, exportName);
    const session = this.#agree(facts);
    // The default export has another name than the client asked for: it is told which.
    const told = facts.name === exportName ? wanted : new Set([...wanted, NBD_INFO.NAME]);
    const infos = encodeInfos(facts, session.facts.transmissionFlags, told).map((info) =>
      encodeOptionReply(option, NBD_REP.INFO, info),
    );
    const send = Buffer.concat([...infos, acknowledge(option)]);
    return option === NBD_OPT.GO ? { send, end: { kind: 'transmission', session } } : { send };
  }

  /** Asking twice is harmless and gets the same answer; extended headers are not given up again. */
  #structuredReply(option: number): OptionAnswer {
    if (this.#replyKind === 'extended') {
      const text = 'extended headers are agreed on already, and include structured replies';
      return errorOf(option, NBD_REP.ERR_EXT_HEADER_REQD, text);
    }
    this.#replyKind = 'structured';
    return { send: acknowledge(option) };
  }

  #metaContexts(option: number, data: Buffer): OptionAnswer {
    const sets = option === NBD_OPT.SET_META_CONTEXT;
    // Whatever happens, an earlier selection is over: "including when this command fails".
    if (sets) this.#contexts = undefined;
    if (this.#replyKind === 'simple') {
      return errorOf(option, NBD_REP.ERR_INVALID, 'structured replies must be agreed on first');
    }
    const { exportName, queryCount, queries } = decodeMetaContextRequest(data);
    if (queryCount > META_QUERIES_MAX) {
      const text = `${queryCount} queries, at most ${META_QUERIES_MAX} are answered`;
      return errorOf(option, NBD_REP.ERR_TOO_BIG, text);
    }
    const facts = this.exports.find(exportName);
    if (facts === undefined) return unknownExport(option, exportName);
    const found = sets
      ? selectedContexts(facts.metaContexts, queries)
      : listedContexts(facts.metaContexts, queries).map((name) => ({ id: 0, name }));
    if (sets) this.#contexts = { exportName: facts.name, selected: found };
    const replies = found.map((context) =>
      encodeOptionReply(option, NBD_REP.META_CONTEXT, encodeMetaContext(context)),
    );
    return { send: Buffer.concat([...replies, acknowledge(option)]) };
  }

  /** What would hold if this export were entered now. */
  #agree(facts: ExportFacts): NegotiatedSession {
    const contexts = this.#contexts?.exportName === facts.name ? this.#contexts.selected : [];
    return {
      exportName: facts.name,
      replyKind: this.#replyKind,
      extendedHeaders: this.#replyKind === 'extended',
      metaContexts: contexts,
      facts: { ...facts, transmissionFlags: announcedFlags(facts, this.#replyKind) },
    };
  }
}

export function acknowledge(option: number): Buffer {
  return encodeOptionReply(option, NBD_REP.ACK, NOTHING);
}

/** @param type an error of NBD_REP */
export function errorOf(option: number, type: number, text: string): OptionAnswer {
  return { send: encodeOptionError(option, type, text) };
}

function unsupported(option: number): OptionAnswer {
  return errorOf(option, NBD_REP.ERR_UNSUP, `option ${option} is not supported by this server`);
}

/** The end, where no error can be told. */
export function refused(reason: string): OptionAnswer {
  return { send: NOTHING, end: { kind: 'closed', reason } };
}

function unknownExport(option: number, name: string): OptionAnswer {
  return errorOf(option, NBD_REP.ERR_UNKNOWN, `export '${name}' is not available`);
}

function expectNoData(dataBytes: number): void {
  if (dataBytes > 0) {
    throw new InvalidOptionData(`this option carries no data, but ${dataBytes} bytes were sent`);
  }
}
