/**
 * Metadata contexts in the handshake: the data of NBD_OPT_LIST_META_CONTEXT, NBD_OPT_SET_META_CONTEXT
 * and NBD_REP_META_CONTEXT, and which contexts a query selects. Their use is block-status.ts.
 */
import { OptionDataReader, decodeString, encodeString, InvalidOptionData } from './wire-string.js';

/** The one context that the specification defines: NBD_STATE flags tell what is allocated and what is zero. */
export const BASE_ALLOCATION = 'base:allocation';

/**
 * Most queries in one option; more are answered with NBD_REP_ERR_TOO_BIG. Clients in use send one to
 * four (base:allocation and a few bitmaps).
 */
export const META_QUERIES_MAX = 64;

/** A context that was agreed on. */
export interface MetaContext {
  /** Names the context in block status replies. */
  readonly id: number;
  readonly name: string;
}

/** The data of both options. */
export interface MetaContextRequest {
  readonly exportName: string;
  /** How many queries there are; they are left out where there are more than META_QUERIES_MAX. */
  readonly queryCount: number;
  readonly queries: readonly string[];
}

/** @throws InvalidOptionData also for a query without the colon behind its namespace */
export function decodeMetaContextRequest(data: Buffer): MetaContextRequest {
  const reader = new OptionDataReader(data);
  const exportName = reader.string('export name');
  const queryCount = reader.u32('number of queries');
  if (queryCount > META_QUERIES_MAX) return { exportName, queryCount, queries: [] };
  const queries: string[] = [];
  for (let index = 0; index < queryCount; index += 1) {
    const query = reader.string(`query ${index + 1}`);
    if (query.indexOf(':') < 1) {
      throw new InvalidOptionData(`query ${index + 1} does not begin with a namespace and a colon`);
    }
    queries.push(query);
  }
  reader.end();
  return { exportName, queryCount, queries };
}

export function encodeMetaContextRequest(exportName: string, queries: readonly string[]): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length, 0);
  return Buffer.concat([encodeString(exportName), count, ...queries.map(encodeString)]);
}

/**
 * Contexts to list: those asked for by name or by a bare namespace ("base:"), all without a query.
 * Queries that match nothing, also of unknown namespaces, are ignored.
 */
export function listedContexts(available: readonly string[], queries: readonly string[]): string[] {
  if (queries.length === 0) return [...available];
  return available.filter((name) =>
    queries.some((query) => query === name || query === namespaceOf(name)),
  );
}

/** Contexts to select: those asked for by their full name, each once; their ids count from 1. */
export function selectedContexts(
  available: readonly string[],
  queries: readonly string[],
): MetaContext[] {
  return available
    .map((name, index) => ({ id: index + 1, name }))
    .filter(({ name }) => queries.includes(name));
}

/** The namespace with its colon. */
function namespaceOf(name: string): string {
  return name.slice(0, name.indexOf(':') + 1);
}

/** The data of NBD_REP_META_CONTEXT; in a list the id says nothing and is 0. */
export function encodeMetaContext({ id, name }: MetaContext): Buffer {
  const idBytes = Buffer.alloc(4);
  idBytes.writeUInt32BE(id, 0);
  return Buffer.concat([idBytes, Buffer.from(name, 'utf8')]);
}

/** @throws InvalidOptionData */
export function decodeMetaContext(data: Buffer): MetaContext {
  const reader = new OptionDataReader(data);
  const id = reader.u32('metadata context id');
  return { id, name: decodeString(reader.take(reader.remainingBytes, 'name'), 'context name') };
}
