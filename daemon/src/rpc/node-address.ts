/**
 * Addresses of nodes and daemons as users write them: `host:port` or `unix:/path`. A node may have several,
 * one for each network that it is in: `10.0.1.5:7600,10.0.2.5:7600`.
 */

/** More networks than a machine has; every one is a connection. */
const ADDRESSES_MAX = 8;

/** @returns why the address cannot be one, or undefined */
export function addressProblem(address: string): string | undefined {
  if (address.startsWith('unix:')) {
    const path = address.slice('unix:'.length);
    if (!path.startsWith('/'))
      return `${address} is not an address: a unix socket needs an absolute path, as in unix:/run/blkferry/node.sock`;
    // sockaddr_un has 108 bytes, one of them the end.
    if (Buffer.byteLength(path) > 107)
      return `${address} is too long for a unix socket: 107 bytes at most`;
    return undefined;
  }
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:/\s]+):(\d{1,5})$/.exec(address);
  if (match === null || Number(match[2]) > 65535) {
    return `${address} is not an address; write host:port (127.0.0.1:7600) or unix:/path`;
  }
  return undefined;
}

/** The addresses of one node, the preferred one first. */
export function nodeAddresses(node: string): string[] {
  return node.split(',').map((address) => address.trim());
}

/** @returns why this cannot be a node's address or addresses, or undefined */
export function nodeProblem(node: string): string | undefined {
  const addresses = nodeAddresses(node);
  if (addresses.length > ADDRESSES_MAX)
    return `${addresses.length} addresses are too many for one node: ${ADDRESSES_MAX} at most`;
  if (new Set(addresses).size < addresses.length) return `${node} names an address twice`;
  for (const address of addresses) {
    const problem = addressProblem(address);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** True if nothing that is sent to the node leaves this machine, whichever of its addresses is used. */
export function isLocalNode(node: string): boolean {
  return nodeAddresses(node).every(isLocalAddress);
}

/** True if what is sent there does not leave this machine. */
export function isLocalAddress(address: string): boolean {
  if (address.startsWith('unix:')) return true;
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
