/** nbd-client, the kernel's companion, asks for the list of exports; to attach one it needs a kernel with nbd. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nbdServerForSuite } from '#test/support/nbd-server.js';
import { missingPrograms, runProgram } from '#test/support/program.js';

describe('nbd-client', { skip: missingPrograms('nbd-client') }, () => {
  const server = nbdServerForSuite();

  it('lists the exports', async () => {
    const first = await server().newExport({ sizeBytes: 1024 * 1024 });
    const second = await server().newExport({ sizeBytes: 1024 * 1024 });
    const { stdout, stderr } = await runProgram('nbd-client', ['-l', '-u', first.socketPath]);
    const lines = stdout.split('\n').map((line) => line.replace(/: .*/, ''));
    assert(lines.includes(first.name) && lines.includes(second.name), `${stdout}${stderr}`);
  });
});
