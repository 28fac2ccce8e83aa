/** What one process uses now: from /proc, and from its probe (process-probe.ts). */
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

/** A process that does not answer its probe by then is busy; the sample goes without. */
const PROBE_TIMEOUT_MS = 5000;

/** USER_HZ of /proc/PID/stat, 100 on every Linux that Node runs on. */
const MS_PER_TICK = 10;

export interface ProcessSample {
  readonly rssBytes: number;
  /** Absent when the probe did not answer. */
  readonly fds?: number;
  readonly threads: number;
  /** Of all threads, since the process began. */
  readonly cpuMs: number;
  /** Active resources of Node: sockets, timers, requests. Absent when the probe did not answer. */
  readonly handles?: number;
  /** Reachable from JavaScript, only in samples for which the garbage was collected. */
  readonly heapBytes?: number;
}

interface ProbeAnswer {
  readonly heapBytes: number;
  readonly fds: number;
  readonly handles: Readonly<Record<string, number>>;
}

/**
 * @param collect have the garbage collected before
 * @returns undefined if the process ended meanwhile
 */
export async function sampleProcess(
  pid: number,
  probeFolder: string,
  collect: boolean,
): Promise<ProcessSample | undefined> {
  const probed = await askProbe(path.join(probeFolder, `${pid}.probe`), collect);
  const known = readProcess(pid);
  if (known === undefined || probed === undefined) return known;
  const handles = Object.values(probed.handles).reduce((sum, count) => sum + count, 0);
  return {
    ...known,
    fds: probed.fds,
    handles,
    ...(collect ? { heapBytes: probed.heapBytes } : {}),
  };
}

/** From /proc alone. @returns undefined if there is no such process */
export function readProcess(pid: number): ProcessSample | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)?.[1] ?? 0);
    const rssBytes = field('VmRSS') * 1024;
    return { rssBytes, threads: field('Threads'), cpuMs: cpuMsOf(pid) };
  } catch {
    return undefined;
  }
}

/** proc_pid_stat(5): utime and stime are the 14th and 15th field; the name, the second, may have spaces. */
function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

function askProbe(file: string, collect: boolean): Promise<ProbeAnswer | undefined> {
  return new Promise((resolve) => {
    let text = '';
    const socket = net.connect(file);
    socket.setEncoding('utf8');
    socket.setTimeout(PROBE_TIMEOUT_MS, () => socket.destroy());
    socket.once('connect', () => socket.write(collect ? 'collect\n' : 'look\n'));
    socket.on('data', (piece: string) => {
      text += piece;
    });
    socket.once('error', () => undefined);
    socket.once('close', () => {
      resolve(text.endsWith('\n') ? (JSON.parse(text) as ProbeAnswer) : undefined);
    });
  });
}
