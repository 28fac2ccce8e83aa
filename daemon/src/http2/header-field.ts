/** One header field as HTTP/2 carries it, and how its size is counted. */

/** Both as latin1: one character is one octet of the wire. */
export type HeaderField = readonly [name: string, value: string];

/** Counted for each field beside its octets, in tables (RFC 7541, 4.1) and in lists (RFC 9113, 6.5.2). */
const FIELD_OVERHEAD_BYTES = 32;

/** What a field takes of a table's size, or of a list's. */
export function fieldBytes([name, value]: HeaderField): number {
  return name.length + value.length + FIELD_OVERHEAD_BYTES;
}
