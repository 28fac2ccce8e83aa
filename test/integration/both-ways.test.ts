/**
 * Goal: much data in both directions at once goes through. Node's HTTP/2 stops reading while it has
 * something to write, at both ends, and only read-keeper.ts keeps that from being for ever. Method: mixed
 * reads and writes of more than a socket holds, over a unix socket and over TCP.
 */
import { describe, it } from 'node:test';
import { submitAsync } from '#daemon/block/block-device.js';
import { readRequest, writeRequest } from '#daemon/block/block-request.js';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import { NbdClient } from '#test/support/nbd-client.js';
import { ServicePair } from '#test/support/service-pair.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MIB = 1024 * 1024;
const REQUESTS = 200;
const DEPTH = 32;

/** A standstill is noticed by the test's own limit; without one this takes a second. */
const TIMEOUT_MS = 60_000;

/** Reads and writes in turns, DEPTH under way at a time. */
async function mixed(client: NbdClient, requestBytes: number): Promise<void> {
  const data = Buffer.alloc(requestBytes, 7);
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < REQUESTS) {
      begun += 1;
      const offsetBytes = (begun % 16) * requestBytes;
      const request =
        begun % 2 === 0 ? readRequest(offsetBytes, requestBytes) : writeRequest(offsetBytes, data);
      await submitAsync(client, request);
    }
  };
  await Promise.all(Array.from({ length: DEPTH }, lane));
}

describe('much data in both directions at once', { timeout: TIMEOUT_MS }, () => {
  it('goes through over a unix socket to the node', async (t) => {
    const pair = new ServicePair(temporaryFolder());
    t.after(() => pair.stop());
    await pair.start();
    await pair.attachVolume('v1', 64 * MIB);
    const client = await NbdClient.connect({ socketPath: pair.nbdSocket, exportName: 'v1' });
    await mixed(client, 256 * 1024);
    await mixed(client, MIB);
    await client.close();
  });

  it('goes through over TCP', async (t) => {
    const stack = await BlkferryStack.start(temporaryFolder());
    t.after(() => stack.stop());
    const { name, socketPath } = await stack.newExport({ sizeBytes: 128 * MIB });
    const client = await NbdClient.connect({ socketPath, exportName: name });
    await mixed(client, 4 * MIB);
    await client.close();
  });
});
