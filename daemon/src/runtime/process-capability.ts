/** What the kernel allows this process: its effective capabilities, from /proc. */
import fs from 'node:fs';

/** linux/capability.h */
const CAPABILITY_BITS = { CAP_SYS_ADMIN: 21, CAP_SYS_RESOURCE: 24 } as const;

export function hasCapability(name: keyof typeof CAPABILITY_BITS): boolean {
  let status: string;
  try {
    status = fs.readFileSync('/proc/self/status', 'latin1');
  } catch {
    return false;
  }
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${mask}`) >> BigInt(CAPABILITY_BITS[name])) & 1n) === 1n;
}
