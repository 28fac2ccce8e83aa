/**
 * What a TLS client says first, where a node looks for a lane in it. Rules: nothing is thrown; what was found does not
 * change when more comes; it is in what came.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { offeredProtocols } from '#daemon/rpc/client-hello.js';
import { laneAmong, LANES } from '#daemon/rpc/session-lane.js';
import { alpn, extension, hello, record } from '#test/support/client-hello.js';
import { require, type FuzzTarget } from '../fuzz-target.js';

const BYTES_MAX = 1024;
const NAMES = ['blkferry-session/1', 'blkferry-lane/1a2b', 'h2'];

function execute(input: Buffer): void {
  const whole = offeredProtocols(input);
  for (const cut of [5, 9, input.length >> 1, input.length - 1]) {
    const found = cut < 0 ? undefined : offeredProtocols(input.subarray(0, cut));
    if (found !== undefined) deepStrictEqual(found, whole);
  }
  if (whole === undefined) return;
  for (const name of whole) require(input.includes(name, 0, 'latin1') || isCut(input), name);
  const lane = laneAmong(whole);
  require(lane === undefined || lane < LANES, `lane ${lane}`);
}

/** A name may lie in two records. */
function isCut(input: Buffer): boolean {
  return input.length > 5 && input.readUInt16BE(3) < input.length - 5;
}

const MESSAGE = hello(extension(0, Buffer.from('any')), alpn(...NAMES));

export const CLIENT_HELLO: FuzzTarget = {
  name: 'client-hello',
  bytesMax: BYTES_MAX,
  seeds: () => [
    record(MESSAGE),
    record(hello()),
    Buffer.concat([record(MESSAGE.subarray(0, 70)), record(MESSAGE.subarray(70))]),
  ],
  execute,
};
