/** What a server does now, in one line: what `systemctl status` shows. */
import type { AttachmentMessage } from '../rpc/admin-messages.js';

/** As in "3 volumes attached: 2 active, 1 holding". */
export function describeAttachments(attachments: readonly AttachmentMessage[]): string {
  if (attachments.length === 0) return 'ready; nothing is attached';
  const counts = new Map<string, number>();
  for (const { state } of attachments) counts.set(state, (counts.get(state) ?? 0) + 1);
  const states = [...counts].map(([state, count]) => `${count} ${state}`).sort();
  return `${plural(attachments.length, 'volume')} attached: ${states.join(', ')}`;
}

export function describeNode(volumeCount: number, sessionCount: number): string {
  return `${plural(volumeCount, 'volume')}, ${plural(sessionCount, 'session')} open`;
}

/** At the end of the line where plain text is allowed beyond this machine. */
export function insecureMark({ insecure }: { readonly insecure: boolean }): string {
  return insecure ? '; INSECURE: plain text beyond this machine is allowed' : '';
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
