/** Whether this process may mount file systems. Root alone is not enough: containers take this capability away. */
import fs from 'node:fs';

/** linux/capability.h */
const CAP_SYS_ADMIN = 1n << 21n;

export function mayMount(): boolean {
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  const capabilities = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(status)?.[1] ?? '0'}`);
  return process.getuid?.() === 0 && (capabilities & CAP_SYS_ADMIN) !== 0n;
}
