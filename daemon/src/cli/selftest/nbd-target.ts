/** Where an export is reached, from the addresses that the daemon names. */

export interface NbdTarget {
  readonly socket: { readonly path: string } | { readonly host: string; readonly port: number };
  readonly exportName: string;
}

/** NBD proto.md: the port that IANA gave it. */
const NBD_PORT = 10809;

/**
 * @param uri nbd+unix:///NAME?socket=/path or nbd://host:port/NAME
 * @returns undefined for an address of another kind
 */
export function toNbdTarget(uri: string): NbdTarget | undefined {
  if (!URL.canParse(uri)) return undefined;
  const { protocol, hostname, port, pathname, searchParams } = new URL(uri);
  const exportName = decodeURIComponent(pathname.replace(/^\//, ''));
  const path = searchParams.get('socket');
  if (protocol === 'nbd+unix:' && path !== null) return { socket: { path }, exportName };
  if (protocol !== 'nbd:' || hostname === '') return undefined;
  const host = hostname.replace(/^\[|\]$/g, '');
  return { socket: { host, port: port === '' ? NBD_PORT : Number(port) }, exportName };
}
