/**
 * A whole export under the contract: an NBD client on the unix socket of a real daemon, through the
 * volume, over gRPC, to a real node with the file backend. Once with structured replies, once with
 * extended headers; simple replies cannot carry block status and are the interop tests' business.
 */
import { after, before } from 'node:test';
import type { ReplyKind } from 'nbd-server-helpers';
import { BlkferryStack } from '#test/support/blkferry-stack.js';
import { NbdClient } from '#test/support/nbd-client.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { CONTRACT_BYTES, blockDeviceContract } from './block-device-contract.js';

const folder = temporaryFolder();
let stack: BlkferryStack;
before(async () => {
  stack = await BlkferryStack.start(folder);
});
after(async () => {
  await stack.stop();
});

function contractOver(replyKind: ReplyKind): void {
  let exportName = '';
  const connect = (): Promise<NbdClient> =>
    NbdClient.connect({ socketPath: stack.socketPath, exportName, replyKind });
  blockDeviceContract(`export over a unix socket, ${replyKind} replies`, {
    open: async () => {
      exportName = (await stack.newExport({ sizeBytes: CONTRACT_BYTES, blockBytes: 512 })).name;
      return connect();
    },
    reopen: connect,
  });
}

contractOver('structured');
contractOver('extended');
