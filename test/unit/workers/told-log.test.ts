/** Log records of a worker as the main thread gets them. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { StorageError } from '#daemon/rpc/storage-error.js';
import { toldLog } from '#daemon/workers/told-log.js';
import type { FromWorker } from '#daemon/workers/worker-messages.js';

it('a record has errors as the log shows them', () => {
  const said: FromWorker[] = [];
  const log = toldLog((message) => said.push(structuredClone(message)));
  const error = new StorageError('unavailable', 'away');
  log.warn({ event: 'release_failed', error }, 'not given up');
  const { name, message, stack } = error;
  assert.deepEqual(said, [
    {
      kind: 'log',
      level: 'warn',
      fields: { event: 'release_failed', error: { name, message, stack } },
      message: 'not given up',
    },
  ]);
});
