/**
 * A whole export under the contract: an NBD client on the unix socket of a real daemon, through the
 * volume, over gRPC, to a real node with the file backend. Once with structured replies, once with
 * extended headers, once with the volume in a worker; simple replies cannot carry block status and are the interop tests' business.
 */
import { after } from 'node:test';
import type { ReplyKind } from 'nbd-server-helpers';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import { NbdClient } from '#test/support/nbd-client.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { CONTRACT_BYTES, blockDeviceContract } from './block-device-contract.js';

const stacks: BlkferryStack[] = [];
after(async () => {
  for (const stack of stacks) await stack.stop();
});

function contractOver(replyKind: ReplyKind, workers: number): void {
  const folder = temporaryFolder();
  let stack: BlkferryStack;
  let exportName = '';
  const connect = (): Promise<NbdClient> =>
    NbdClient.connect({ socketPath: stack.socketPath, exportName, replyKind });
  const threads = workers === 1 ? '' : `, ${workers} workers`;
  blockDeviceContract(`export over a unix socket, ${replyKind} replies${threads}`, {
    open: async () => {
      const daemon = { BLKFERRY_WORKERS: String(workers) };
      stack = await BlkferryStack.start(folder, { daemon });
      stacks.push(stack);
      exportName = (await stack.newExport({ sizeBytes: CONTRACT_BYTES, blockBytes: 512 })).name;
      return connect();
    },
    reopen: connect,
  });
}

contractOver('structured', 1);
contractOver('extended', 1);
contractOver('structured', 2);
