/** Our end of a session against servers that are not ours: grpc-js as it comes, other HTTP, and what is no HTTP/2. */
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { Server, ServerCredentials, status, type ChannelOptions } from '@grpc/grpc-js';
import { readRequest, writeRequest } from '#daemon/block/block-request.js';
import type { ServedCall } from '#daemon/rpc/served-session.js';
import { STORAGE_SERVICE } from '#daemon/rpc/service-definition.js';
import { SessionCall } from '#daemon/rpc/session-call.js';
import { sessionTarget } from '#daemon/rpc/session-dial.js';
import type { CallEnd } from '#daemon/rpc/session-headers.js';
import { StorageError } from '#daemon/rpc/storage-error.js';
import type { NodeFrame } from '#daemon/rpc/storage-messages.js';
import { EchoSession, OPEN } from '#test/support/echo-session.js';
import { settle } from '#test/support/fake-clock.js';
import { requestFrame } from '#test/support/frame-bytes.js';
import { pattern } from '#test/support/nbd-bytes.js';
import { until } from '#test/support/served-node.js';
import { temporaryFolder } from '#test/support/temporary-folder.js';

const MiB = 1024 * 1024;

class HeardCall {
  /** `pong`, `replies 3`, `refused WHY`, `error CODE: WHY`, `end`, `over`. */
  readonly heard: string[] = [];
  readonly read: Buffer[] = [];
  readonly call: SessionCall;

  constructor(readonly address: string) {
    this.call = new SessionCall(sessionTarget({ address, insecure: false }, 'node'));
    this.call.on('data', (frame: NodeFrame | StorageError) => {
      this.#receive(frame);
    });
    this.call.on('error', ({ code, details }: CallEnd) => {
      this.heard.push(`error ${status[code] ?? code}: ${details}`);
    });
    this.call.on('end', () => this.heard.push('end'));
    this.call.on('over', () => this.heard.push('over'));
    after(() => {
      this.call.cancel();
    });
  }

  #receive(frame: NodeFrame | StorageError): void {
    if (frame instanceof StorageError) this.heard.push(`refused ${frame.message}`);
    else if (frame.kind === 'replies') {
      for (const { payload } of frame.results)
        if (payload.length > 0) this.read.push(Buffer.concat(payload));
      this.heard.push(`replies ${frame.results.length}`);
    } else this.heard.push(frame.kind);
  }

  async untilHeard(what: RegExp): Promise<void> {
    await until(() => this.heard.some((one) => what.test(one)));
  }
}

const folder = temporaryFolder();
let places = 0;

async function listening(server: net.Server | http2.Http2Server): Promise<string> {
  places += 1;
  const place = path.join(folder, `${places}.sock`);
  await new Promise<void>((resolve) => server.listen(place, resolve));
  after(() => {
    server.close();
  });
  return `unix:${place}`;
}

describe('a session with a server of grpc-js', () => {
  /** With its own settings: windows of 64 KiB, frames of 16 KiB. */
  async function stock(
    serve: (call: ServedCall) => void,
    options: ChannelOptions = {},
  ): Promise<{ address: string; server: Server }> {
    const server = new Server({ 'grpc.max_receive_message_length': -1, ...options });
    server.addService(STORAGE_SERVICE, { OpenSession: serve });
    places += 1;
    const address = `unix:${path.join(folder, `${places}.sock`)}`;
    const credentials = ServerCredentials.createInsecure();
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(address, credentials, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    after(() => {
      server.forceShutdown();
    });
    return { address, server };
  }

  it('brings frames larger than its windows and frames, both ways at once', async () => {
    for (const window of [{}, { 'grpc-node.flow_control_window': 4 * MiB }]) {
      let served: EchoSession | undefined;
      const { address } = await stock((call) => (served = new EchoSession(call)), window);
      const session = new HeardCall(address);
      session.call.write(OPEN);
      await session.untilHeard(/pong/);
      for (let count = 0; count < 4; count += 1) {
        const requests = [readRequest(count, 3 * MiB), writeRequest(0, pattern(3 * MiB, count))];
        session.call.write(requestFrame([...requests, readRequest(9, 512)]));
      }
      await until(() => session.read.length === 8);
      for (let count = 0; count < 4; count += 1) {
        assert.ok(session.read[2 * count]?.equals(pattern(3 * MiB, count)));
        assert.ok(served?.written[count]?.equals(pattern(3 * MiB, count)));
      }
      session.call.cancel();
      await until(() => served?.heard.at(-1) === 'cancelled');
      assert.deepEqual(session.heard.slice(-2), ['replies 3', 'over']);
    }
  });

  it('is told with which headers it began', async () => {
    let said: object | undefined;
    const { address } = await stock((call) => {
      said = (call as unknown as { metadata: { getMap(): object } }).metadata.getMap();
      call.end();
    });
    const session = new HeardCall(address);
    await session.untilHeard(/over/);
    assert.match(JSON.stringify(said), /"user-agent":"blkferry\/\d/);
  });

  it('ends with the status that comes before the first frame', async () => {
    const details = 'no volume "größer" with 50 % – 一';
    const { address } = await stock((call) => {
      call.emit('error', { code: status.NOT_FOUND, details });
    });
    const session = new HeardCall(address);
    session.call.write(OPEN);
    await session.untilHeard(/over/);
    await settle();
    assert.deepEqual(session.heard, ['over', `error NOT_FOUND: ${details}`]);
  });

  it('ends with the status that comes behind frames, when all of them are there', async () => {
    const { address } = await stock((call) => {
      call.on('data', () => {
        for (let count = 0; count < 50; count += 1)
          call.write({ kind: 'pong', number: count }, () => undefined);
        call.emit('error', { code: status.ABORTED, details: 'fenced' });
      });
    });
    const session = new HeardCall(address);
    session.call.write(OPEN);
    await session.untilHeard(/over/);
    await settle();
    const pongs = Array.from({ length: 50 }, () => 'pong');
    assert.deepEqual(session.heard, [...pongs, 'over', 'error ABORTED: fenced']);
  });

  it('ends in order if the server does', async () => {
    const { address } = await stock((call) => {
      call.on('data', () => {
        call.write({ kind: 'pong', number: 1 }, () => undefined);
        call.end();
      });
    });
    const session = new HeardCall(address);
    session.call.write(OPEN);
    await session.untilHeard(/^end$/);
    await settle();
    assert.deepEqual(session.heard, ['pong', 'over', 'end']);
  });

  it('is cancelled for the server, and tells nothing more', async () => {
    let served: EchoSession | undefined;
    const { address } = await stock((call) => (served = new EchoSession(call)));
    const session = new HeardCall(address);
    session.call.write(OPEN);
    await session.untilHeard(/pong/);
    session.call.write({ kind: 'ping', number: 1 });
    session.call.cancel();
    session.call.cancel();
    session.call.cut('too late');
    await until(() => served?.heard.at(-1) === 'cancelled');
    await settle();
    assert.deepEqual(session.heard, ['pong', 'over']);
  });

  it('ends as unavailable when the server dies, or when it is cut', async () => {
    const { address, server } = await stock((call) => new EchoSession(call));
    const session = new HeardCall(address);
    session.call.write(OPEN);
    await session.untilHeard(/pong/);
    const other = new HeardCall(address);
    other.call.write(OPEN);
    await other.untilHeard(/pong/);
    other.call.cut('the connection was closed');
    assert.deepEqual(other.heard, ['pong', 'over', 'error UNAVAILABLE: the connection was closed']);
    server.forceShutdown();
    await session.untilHeard(/error/);
    assert.match(session.heard.at(-1) ?? '', /^error (UNAVAILABLE|CANCELLED): /);
  });

  it('ends with the status of a server that does not know the call', async () => {
    const server = new Server();
    places += 1;
    const address = `unix:${path.join(folder, `${places}.sock`)}`;
    await new Promise<void>((resolve) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), () => {
        resolve();
      });
    });
    after(() => {
      server.forceShutdown();
    });
    const session = new HeardCall(address);
    session.call.write(OPEN);
    await session.untilHeard(/error/);
    assert.match(session.heard.at(-1) ?? '', /^error UNIMPLEMENTED: .*OpenSession/);
  });
});

describe('a session with a server that is none of gRPC', () => {
  async function ended(server: net.Server | http2.Http2Server): Promise<string> {
    const session = new HeardCall(await listening(server));
    session.call.write(OPEN);
    await session.untilHeard(/error/);
    await settle();
    assert.equal(session.heard.length, 2);
    return session.heard[1] ?? '';
  }

  it('ends with what its HTTP/2 says', async () => {
    const not = http2.createServer((_request, response) => {
      response.writeHead(404).end('not here');
    });
    assert.equal(await ended(not), 'error UNAVAILABLE: Received HTTP status code 404');
    const page = http2.createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
    });
    assert.equal(await ended(page), 'error UNAVAILABLE: the answer is not gRPC');
    const silent = http2.createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/grpc' }).end();
    });
    assert.equal(await ended(silent), 'error UNKNOWN: the call ended without a status');
  });

  it('ends at once with one that speaks HTTP/1', async () => {
    const words = 'error UNAVAILABLE: what answers does not speak HTTP/2';
    assert.equal(await ended(http.createServer()), words);
  });

  it('ends at once with one that greets in another protocol', async () => {
    const greeting = net.createServer((socket) => socket.write('SSH-2.0-OpenSSH_9.2p1\r\n'));
    assert.match(await ended(greeting), /^error UNAVAILABLE: what answers does not speak HTTP\/2$/);
  });

  it('ends at once with one that closes', async () => {
    const closing = net.createServer((socket) => socket.on('error', () => undefined).destroy());
    assert.match(await ended(closing), /^error UNAVAILABLE: .*(Socket closed|EPIPE|ECONNRESET)/);
  });

  it('waits for one that never answers, until it is cut', async () => {
    const sockets: net.Socket[] = [];
    const silent = net.createServer((socket) => sockets.push(socket));
    const session = new HeardCall(await listening(silent));
    session.call.write(OPEN);
    await until(() => sockets.length === 1);
    await settle();
    assert.deepEqual(session.heard, []);
    session.call.cut('the node did not answer');
    assert.deepEqual(session.heard, ['over', 'error UNAVAILABLE: the node did not answer']);
    sockets[0]?.resume();
    await until(() => sockets[0]?.closed === true);
  });

  it('says with the system’s code that nobody is there', async () => {
    const session = new HeardCall(`unix:${folder}/nobody.sock`);
    session.call.write(OPEN);
    await session.untilHeard(/error/);
    assert.match(session.heard[1] ?? '', /^error UNAVAILABLE: connect ENOENT/);
    const given = new HeardCall(`unix:${folder}/nobody.sock`);
    given.call.cancel();
    await settle();
    assert.deepEqual(given.heard, ['over']);
  });
});
