/** The admin API as any gRPC client sees it: statuses with sentences, and what the log keeps of bugs. */
import assert from 'node:assert/strict';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Client, credentials, Server, status, type ServiceError } from '@grpc/grpc-js';
import bunyan from 'bunyan';
import { adminHandlers } from '#daemon/admin/admin-service.js';
import { CLIENT_OPTIONS } from '#daemon/rpc/channel-options.js';
import type { AttachReplyMessage, DaemonMessage } from '#daemon/rpc/admin-messages.js';
import { listen, type ServerListener } from '#daemon/rpc/server-listener.js';
import { ADMIN_SERVICE } from '#daemon/rpc/service-definition.js';
import { SYSTEM_CLOCK } from '#daemon/runtime/clock.js';
import { RepeatedWarnings } from '#daemon/runtime/repeated-warnings.js';
import { VERSION } from '#daemon/runtime/version.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';
import { ATTACH_V1, AttachmentBench, type LogRecord } from './attachment-bench.js';

const folder = temporaryFolder();
const bench = new AttachmentBench(path.join(folder, 'state'));
const log: LogRecord[] = [];
const refusals = new RepeatedWarnings({ warn: () => undefined }, SYSTEM_CLOCK);
const server = new Server();
let listener: ServerListener;
let client: Client;

before(async () => {
  const stream = { write: (record: LogRecord) => log.push(record) } as never;
  server.addService(
    ADMIN_SERVICE,
    adminHandlers({
      attachments: bench.attachments,
      protection: { insecure: true },
      workers: 1,
      deviceProblem: () => Promise.resolve('no such device'),
      nbdListeners: () => ['unix:/run/nbd.sock', '127.0.0.1:10809'],
      defaultNode: 'pretend:1',
      refusals,
      logger: bunyan.createLogger({ name: 'test', streams: [{ type: 'raw', stream }] }),
    }),
  );
  const address = `unix:${path.join(folder, 'admin.sock')}`;
  listener = await listen(server, { address, insecure: false, onWindows: () => undefined });
  client = new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
});

after(async () => {
  client.close();
  listener.stopAccepting();
  server.forceShutdown();
  await bench.attachments.stop(50);
});

function call<Reply>(name: string, request: object): Promise<Reply> {
  const { path: method, requestSerialize, responseDeserialize } = ADMIN_SERVICE[name]!;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method,
      requestSerialize,
      responseDeserialize,
      request,
      { deadline: Date.now() + 5000 },
      (error, reply) => {
        if (error === null) resolve(reply as Reply);
        else reject(error);
      },
    );
  });
}

async function refusalOf(name: string, request: object): Promise<string> {
  const error = await call(name, request).then(
    () => assert.fail('it was granted'),
    (reason: unknown) => reason as ServiceError,
  );
  return `${status[error.code]}: ${error.details}`;
}

describe('the admin API', () => {
  it('says what the daemon is', async () => {
    refusals.warn('x', { event: 'client_failed' }, 'client x failed');
    const daemon = await call<DaemonMessage>('GetDaemon', {});
    assert.equal(daemon.version, VERSION);
    assert.equal(daemon.hostname, os.hostname());
    assert.equal(daemon.defaultNode, 'pretend:1');
    assert.deepEqual(daemon.nbdListeners, ['unix:/run/nbd.sock', '127.0.0.1:10809']);
    assert.ok(daemon.residentBytes > 1024 * 1024);
    assert.deepEqual(daemon.refusals, [{ event: 'client_failed', count: 1 }]);
  });

  it('attaches, shows and detaches', async () => {
    const { attachment } = await call<AttachReplyMessage>('Attach', ATTACH_V1);
    assert.equal(attachment.exportName, 'v1');
    assert.equal(attachment.state, 'active');
    assert.deepEqual(await call('ListAttachments', {}), { attachments: [attachment] });
    assert.deepEqual(await call('GetAttachment', { exportName: 'v1' }), attachment);
    assert.deepEqual(await call('Detach', { exportName: 'v1', force: false }), {
      absent: false,
      discardedBytes: 0,
    });
    assert.deepEqual(await call('ListAttachments', {}), { attachments: [] });
  });

  it('refuses with the status that admin.proto promises, and a sentence', async () => {
    assert.equal(
      await refusalOf('GetAttachment', { exportName: 'none' }),
      'NOT_FOUND: nothing is attached as none; nothing is attached',
    );
    assert.match(
      await refusalOf('Attach', { ...ATTACH_V1, exportName: 'a b' }),
      /^INVALID_ARGUMENT: "a b" cannot be an export's name/,
    );
    await call('Attach', ATTACH_V1);
    assert.match(
      await refusalOf('Attach', { ...ATTACH_V1, readOnly: true }),
      /^ALREADY_EXISTS: the export v1 is volume v1 of pretend:1, for writing/,
    );
    assert.match(
      await refusalOf('Attach', { ...ATTACH_V1, exportName: 'again' }),
      /^FAILED_PRECONDITION: volume v1 is attached by this daemon already, as v1/,
    );
    assert.equal(
      await refusalOf('GetAttachment', { exportName: 'none' }),
      'NOT_FOUND: nothing is attached as none; attached: v1',
    );
    await call('Detach', { exportName: 'v1', force: false });
    assert.deepEqual(log, [], 'a refusal is no bug');
  });

  it('answers a bug with INTERNAL, and keeps the whole of it in the log', async () => {
    bench.node.getVolume = () => {
      throw new TypeError('x is not a function');
    };
    assert.equal(await refusalOf('Attach', ATTACH_V1), 'INTERNAL: x is not a function');
    assert.equal(log[0]?.event, 'admin_call_failed');
    assert.equal(log[0].msg, 'the call Attach failed: x is not a function');
  });
});
