/**
 * The two .proto files as protobufjs sees them, loaded once. They lie beside the program, in proto/,
 * so what is served and what can be read there are the same text.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { PROGRAM_ROOT } from '../runtime/program-root.js';

/** The folder that the files' own import paths begin at. */
export const PROTO_FOLDER = fileURLToPath(new URL('proto/', PROGRAM_ROOT));

export const PROTO_FILES = [
  path.join(PROTO_FOLDER, 'blkferry/storage/v1/storage.proto'),
  path.join(PROTO_FOLDER, 'blkferry/admin/v1/admin.proto'),
];

export const PROTO_ROOT: protobuf.Root = new protobuf.Root().loadSync(PROTO_FILES);
PROTO_ROOT.resolveAll();

export function lookupType(name: string): protobuf.Type {
  return PROTO_ROOT.lookupType(name);
}
