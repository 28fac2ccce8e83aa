/**
 * Instruments the modules under test while Node loads them (`module.register`); runs in Node's own thread for
 * such hooks, so that numbers of branches are given out in one place.
 */
import type { LoadHook } from 'node:module';
import { instrument } from './instrumentation.js';

/** What is decoded by the product itself, or by a library that reads text of the user's. */
const UNDER_TEST = /\/(daemon\/dist|nbd-server-helpers\/dist|smol-toml\/dist)\//;

let endBranch = 0;

export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  if (loaded.format !== 'module' || !UNDER_TEST.test(url) || loaded.source === undefined)
    return loaded;
  const source = Buffer.from(loaded.source as Uint8Array).toString();
  const instrumented = instrument(source, endBranch);
  endBranch = instrumented.endBranch;
  return { ...loaded, source: instrumented.source };
};
