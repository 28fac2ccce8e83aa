/**
 * grpc-js is given batches that are not Buffers (batch-encoding.ts): this holds down what it uses of them,
 * in both directions, over a real connection. When it fails after an upgrade of grpc-js, look at what is
 * used now before anything else: `compression-filter.js` and `server-interceptors.js`.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  Client,
  Server,
  ServerCredentials,
  credentials,
  type MethodDefinition,
  type ServerDuplexStream,
} from '@grpc/grpc-js';
import { DONE, joined, readRequest, writeRequest } from '#daemon/block/block-request.js';
import { CLIENT_OPTIONS, serverOptions } from '#daemon/rpc/channel-options.js';
import { STORAGE_SERVICE } from '#daemon/rpc/service-definition.js';
import { LazyReplyBatch, LazyRequestBatch } from '#daemon/rpc/batch-encoding.js';
import type { ClientFrame, NodeFrame, RequestBatchFrame } from '#daemon/rpc/storage-messages.js';

const OPEN_SESSION = STORAGE_SERVICE['OpenSession'] as MethodDefinition<ClientFrame, NodeFrame>;

/** What was asked of a message: the names of its properties, and the targets of `copy`. */
class Watched {
  readonly names = new Set<PropertyKey>();
  readonly copies: { target: Buffer; start: number }[] = [];

  watch(message: object): Buffer {
    return new Proxy(message, {
      get: (target, name) => {
        this.names.add(name);
        const value: unknown = Reflect.get(target, name, target);
        if (name !== 'copy' || typeof value !== 'function') return value;
        return (into: Buffer, start: number): unknown => {
          this.copies.push({ target: into, start });
          return Reflect.apply(value, target, [into, start]);
        };
      },
      has: (target, name) => {
        this.names.add(name);
        return Reflect.has(target, name);
      },
    }) as Buffer;
  }
}

describe('an encoded batch in the hands of grpc-js', () => {
  const fromClient = new Watched();
  const fromServer = new Watched();
  const received: ClientFrame[] = [];
  const request: RequestBatchFrame = {
    kind: 'requests',
    sequences: [1, 2],
    requests: [writeRequest(0, Buffer.alloc(100_000, 7)), readRequest(0, 512)],
    seal: 12,
  };
  let folder = '';
  let server: Server;
  let client: Client;

  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blkferry-lazy-'));
    const address = `unix:${path.join(folder, 'socket')}`;
    server = new Server(serverOptions());
    const definition = {
      ...OPEN_SESSION,
      responseSerialize: (frame: NodeFrame) =>
        fromServer.watch(OPEN_SESSION.responseSerialize(frame)),
    };
    server.addService(
      { OpenSession: definition },
      {
        OpenSession: (call: ServerDuplexStream<ClientFrame, NodeFrame>) => {
          call.on('data', (frame: ClientFrame) => {
            received.push(frame);
            const results = [DONE, { ...DONE, payload: [Buffer.alloc(70_000, 9)] }];
            call.write({
              kind: 'replies',
              sequences: [1, 2],
              results,
              writeVerifier: 5n,
            });
          });
        },
      },
    );
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    client = new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
  });
  after(() => {
    client.close();
    server.forceShutdown();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  it('is asked for its length and to copy itself once, in both directions, and nothing else', async () => {
    const call = client.makeBidiStreamRequest(
      OPEN_SESSION.path,
      (frame: ClientFrame) => fromClient.watch(OPEN_SESSION.requestSerialize(frame)),
      OPEN_SESSION.responseDeserialize,
    );
    call.on('error', () => undefined);
    const answered = new Promise<NodeFrame>((resolve) => {
      call.once('data', resolve);
    });
    call.write(request);
    const reply = await answered;
    call.cancel();

    assert.ok(OPEN_SESSION.requestSerialize(request) instanceof LazyRequestBatch);
    const allowed = new Set<PropertyKey>(['length', 'byteLength', 'copy']);
    for (const watched of [fromClient, fromServer]) {
      assert.deepEqual(
        [...watched.names].filter((name) => !allowed.has(name)),
        [],
      );
      assert.deepEqual(
        watched.copies.map(({ start }) => start),
        [5],
      );
      assert.ok(Buffer.isBuffer(watched.copies[0]?.target));
    }
    const [frame] = received;
    assert.ok(frame?.kind === 'requests');
    assert.deepEqual(Buffer.concat(frame.requests[0]?.payload ?? []), Buffer.alloc(100_000, 7));
    assert.equal(frame.seal, 12);
    assert.ok(reply.kind === 'replies');
    assert.deepEqual(joined(reply.results[1]?.payload ?? []), Buffer.alloc(70_000, 9));
    assert.equal(reply.writeVerifier, 5n);
  });

  it('is also what replies are made of', () => {
    const reply = { kind: 'replies', sequences: [], results: [], writeVerifier: 0n } as const;
    assert.ok(OPEN_SESSION.responseSerialize(reply) instanceof LazyReplyBatch);
  });
});
