/**
 * The messages of unary calls, of both services. The first byte of an input says of which type it is to be.
 * Rules: only StorageError 'invalid', and a message that is written again is read as the same message.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { decodeMessage, encodeMessage } from '#daemon/rpc/message-codec.js';
import { PROTO_ROOT } from '#daemon/rpc/proto-root.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { outcomeOf, require, type FuzzTarget } from '../fuzz-target.js';

const TYPES = ['blkferry.storage.v1.Storage', 'blkferry.admin.v1.Admin']
  .flatMap((name) => PROTO_ROOT.lookupService(name).methodsArray)
  .flatMap(({ resolvedRequestType, resolvedResponseType }) => [
    resolvedRequestType,
    resolvedResponseType,
  ])
  .filter((type) => type !== null)
  .filter(({ name }) => !name.endsWith('Frame'));

export const UNARY_MESSAGES: FuzzTarget = {
  name: 'unary-messages',
  bytesMax: 2048,
  seeds: () =>
    TYPES.map((type, index) => {
      // Every field once, with what protobufjs holds for its zero.
      const fields = type.fieldsArray.map(({ id }) => Buffer.from([(id << 3) | 2, 1, 0x41]));
      return Buffer.concat([Buffer.from([index]), ...fields]);
    }),
  execute: (input) => {
    const type = TYPES[(input[0] ?? 0) % TYPES.length];
    if (type === undefined) return;
    const message = outcomeOf(() => decodeMessage(type, input.subarray(1)), StorageError);
    if (message instanceof StorageError) {
      require(message.kind === 'invalid', `refused as ${message.kind}: ${message.message}`);
      return;
    }
    deepStrictEqual(decodeMessage(type, encodeMessage(type, message as object)), message);
  },
};
