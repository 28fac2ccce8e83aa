/** How a program's connections are protected, as every status shows it. */
import type { Protection } from './credentials.js';

export interface ProtectionFacts {
  /** Plain text beyond this machine is allowed (the setting `insecure`). */
  insecure: boolean;
  /** When the certificate expires, in milliseconds since 1970; 0: none is configured. */
  certificateValidToMs: number;
}

export function protectionFacts({ insecure = false, tls }: Partial<Protection>): ProtectionFacts {
  return { insecure, certificateValidToMs: tls?.current.facts.validToMs ?? 0 };
}
