/**
 * Header blocks into header fields: HPACK, RFC 7541, sections 3 and 6. Every block of a connection goes through one
 * decoder, in the order of arrival, whether its fields are wanted or not: the dynamic table is what all of them left.
 * Which names and values HTTP allows (RFC 9113, 8.2 and 8.3) is the caller's business.
 *
 * The first bits of a field say what it is:
 *   1xxx xxxx  all of it from a table              0001 xxxx  literal, never to be remembered
 *   01xx xxxx  literal, and remembered             0000 xxxx  literal, not remembered
 *   001x xxxx  not a field: the dynamic table gets another size
 */
import { DynamicHeaders } from './dynamic-headers.js';
import { HeaderBlockReader } from './header-block-reader.js';
import { fieldBytes, type HeaderField } from './header-field.js';
import { Http2Error } from './http2-error.js';
import { STATIC_HEADERS } from './static-headers.js';

/** SETTINGS_HEADER_TABLE_SIZE before anything is said (RFC 9113, 6.5.2). */
const TABLE_BYTES_INITIAL = 4096;
/** RFC 7541, 4.2: the smallest size there was since the last block, then the last. */
const SIZE_UPDATES_MAX = 2;

const IS_INDEXED = 0x80;
const INDEXED_BITS = 7;
const IS_REMEMBERED = 0x40;
const REMEMBERED_BITS = 6;
const IS_SIZE_UPDATE = 0x20;
const SIZE_UPDATE_BITS = 5;
const LITERAL_BITS = 4;

export interface HeaderLimits {
  /**
   * Largest dynamic table, what our settings announce. The peer begins with 4096 and is bound to less only once it
   * has seen them: a server, whose client does not wait for its settings, should not announce less.
   */
  readonly tableBytesMax: number;
  /** Longest list of one block, counted as fieldBytes: SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly listBytesMax: number;
}

export class HeaderDecoder {
  readonly #limits: HeaderLimits;
  readonly #table: DynamicHeaders;

  constructor(limits: HeaderLimits) {
    this.#limits = limits;
    // A larger one begins with the peer's size update.
    this.#table = new DynamicHeaders(Math.min(limits.tableBytesMax, TABLE_BYTES_INITIAL));
  }

  /**
   * Decodes one block.
   *
   * @param block the fragments of HEADERS and its CONTINUATION frames, put together; nothing of it is kept
   * @throws Http2Error ENHANCE_YOUR_CALM as soon as the list is longer than listBytesMax, since a small block can
   *   name a large field of a table again and again; COMPRESSION_ERROR for everything else. After either the
   *   decoder's table is not the peer's any more.
   */
  decode(block: Buffer): HeaderField[] {
    const reader = new HeaderBlockReader(block);
    this.#readSizeUpdates(reader);
    const fields: HeaderField[] = [];
    let listBytes = 0;
    while (!reader.isAtEnd) {
      const field = this.#readField(reader);
      listBytes += fieldBytes(field);
      if (listBytes > this.#limits.listBytesMax)
        throw new Http2Error(
          'ENHANCE_YOUR_CALM',
          `a header list is longer than ${this.#limits.listBytesMax} bytes`,
        );
      fields.push(field);
    }
    return fields;
  }

  /** Only before the first field (RFC 7541, 4.2). */
  #readSizeUpdates(reader: HeaderBlockReader): void {
    for (let count = 1; !reader.isAtEnd && isSizeUpdate(reader.peek()); count += 1) {
      if (count > SIZE_UPDATES_MAX)
        throw broken(`changes the size of its table more than ${SIZE_UPDATES_MAX} times`);
      const bytes = reader.integer(SIZE_UPDATE_BITS);
      if (bytes > this.#limits.tableBytesMax)
        throw broken(
          `asks for a table of ${bytes} bytes, more than ${this.#limits.tableBytesMax} are not allowed`,
        );
      this.#table.resize(bytes);
    }
  }

  #readField(reader: HeaderBlockReader): HeaderField {
    const first = reader.peek();
    if (first >= IS_INDEXED) return this.#fieldAt(reader.integer(INDEXED_BITS));
    if (first >= IS_REMEMBERED) {
      const field = this.#readLiteral(reader, REMEMBERED_BITS);
      this.#table.add(field);
      return field;
    }
    if (isSizeUpdate(first)) throw broken('changes the size of its table behind a field');
    // Never to be remembered is for those who pass fields on; for us it is the same.
    return this.#readLiteral(reader, LITERAL_BITS);
  }

  /** The name is of a table or, behind index 0, a string; the value is a string. */
  #readLiteral(reader: HeaderBlockReader, indexBits: number): HeaderField {
    const index = reader.integer(indexBits);
    const name = index === 0 ? reader.string() : this.#fieldAt(index)[0];
    return [name, reader.string()];
  }

  /** RFC 7541, 2.3.3: both tables are one row of indices that begins with 1. */
  #fieldAt(index: number): HeaderField {
    const field = STATIC_HEADERS[index - 1] ?? this.#table.at(index - 1 - STATIC_HEADERS.length);
    if (field === undefined) throw broken(`names field ${index} of its tables, which is not there`);
    return field;
  }
}

function isSizeUpdate(first: number): boolean {
  return first >= IS_SIZE_UPDATE && first < IS_REMEMBERED;
}

function broken(how: string): Http2Error {
  return new Http2Error('COMPRESSION_ERROR', `a header block ${how}`);
}
