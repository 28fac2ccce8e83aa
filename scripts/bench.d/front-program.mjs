#!/usr/bin/env node
/**
 * Our front half alone: the daemon's NBD server on a disk in its own memory, without volume, transport and node. What
 * it reaches is the most that the daemon could, whatever is done behind it.
 *
 * usage: node front-program.mjs SOCKET BYTES
 */
import { ExportTable } from '#daemon/frontend/export-table.js';
import { NbdListener } from '#daemon/frontend/nbd-listener.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { MemoryBackend } from '#daemon/storage-node/backend/memory/memory-backend.js';

const [socket, bytes] = process.argv.slice(2);
const volume = { volumeId: 'front', sizeBytes: Number(bytes), blockBytes: 512 };
const backend = new MemoryBackend();
await backend.create(volume);
const device = await backend.open(volume);
const exports = new ExportTable();
exports.add({
  name: 'front',
  description: '',
  isReady: () => true,
  device: {
    facts: device.facts,
    submit: (request, complete) => device.submit(request, complete),
    hasRoom: () => true,
    whenRoom: (callback) => callback(),
    close: () => device.close(),
  },
});
const silent = () => undefined;
const listener = await NbdListener.listen({
  address: `unix:${socket}`,
  exports,
  protection: { door: undefined, access: undefined },
  limits: {
    ...{ handshakeTimeoutMs: 10_000, payloadBytesMax: device.facts.requestBytesMax },
    ...{ connectionsMax: 64, connectionsPerPeerMax: 64, handshakesMax: 64 },
  },
  clock: SYSTEM_CLOCK,
  eventsFor: () => ({
    ...{ opened: silent, refused: silent, handshakeEnded: silent, requestFailed: silent },
    protocolError: (reason) => process.stderr.write(`${reason}\n`),
    closed: silent,
  }),
});
process.stdout.write(`ready: ${listener.uri('front')}\n`);
process.once('SIGTERM', () => process.exit());
