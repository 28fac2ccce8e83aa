/**
 * The loads of the study. `frameRequests` is how many requests go in a frame where there are as many; reads that are
 * answered in one turn of the event loop are asked for again in one frame, and a write of a megabyte has its own, as in
 * a session of the daemon.
 */
const KIB = 1024;
const MIB = 1024 * KIB;

export const FRAME_LOADS = [
  load('read-4k-1', '4k read d1', { kind: 'read', lengthBytes: 4 * KIB, depth: 1 }),
  load('read-4k-64', '4k read d64', { kind: 'read', lengthBytes: 4 * KIB, depth: 64 }),
  load('read-1m', '1M read d16', { kind: 'read', lengthBytes: MIB, depth: 16 }),
  load('write-1m', '1M write d16', {
    ...{ kind: 'write', lengthBytes: MIB, depth: 16, frameRequests: 1 },
  }),
];

function load(name, title, { kind, lengthBytes, depth, frameRequests = depth }) {
  return { name, title, kind, lengthBytes, depth, frameRequests };
}
