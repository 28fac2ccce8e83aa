/** Health and reflection as any other program would ask for them: through their own protocols. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Client, Server, credentials } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { listen, type ServerListener } from '#daemon/rpc/server-listener.js';
import { addStandardServices, type SetHealth } from '#daemon/rpc/standard-services.js';

/** Only what is asked here, from the public definitions of both services. */
const PROTO = protobuf.parse(`
  syntax = "proto3";
  message HealthCheckRequest { string service = 1; }
  message HealthCheckResponse { uint32 status = 1; }
  message ServerReflectionRequest {
    oneof message_request { string file_containing_symbol = 4; string list_services = 7; }
  }
  message ServerReflectionResponse {
    oneof message_response {
      FileDescriptorResponse file_descriptor_response = 4;
      ListServiceResponse list_services_response = 6;
      ErrorResponse error_response = 7;
    }
  }
  message FileDescriptorResponse { repeated bytes file_descriptor_proto = 1; }
  message ListServiceResponse { repeated ServiceResponse service = 1; }
  message ServiceResponse { string name = 1; }
  message ErrorResponse { int32 error_code = 1; string error_message = 2; }
`).root;

const SERVING = 1;
const NOT_SERVING = 2;

interface Reflected {
  readonly listServicesResponse?: { service: { name: string }[] };
  readonly fileDescriptorResponse?: { fileDescriptorProto: Uint8Array[] };
  readonly errorResponse?: { errorMessage: string };
}

describe('a server of ours', () => {
  let folder = '';
  let server: Server;
  let client: Client;
  let setHealth: SetHealth;
  let listener: ServerListener;

  before(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'blkferry-standard-'));
    server = new Server();
    setHealth = addStandardServices(server, 'blkferry.storage.v1.Storage');
    const address = `unix:${path.join(folder, 'socket')}`;
    listener = await listen(server, { address, insecure: false, onWindows: () => undefined });
    client = new Client(address, credentials.createInsecure());
  });
  after(() => {
    client.close();
    listener.stopAccepting();
    server.forceShutdown();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  function encode(type: string, message: object): Buffer {
    return Buffer.from(PROTO.lookupType(type).encode(message).finish());
  }

  function health(service: string): Promise<number> {
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        (message: object) => encode('HealthCheckRequest', message),
        (bytes) =>
          PROTO.lookupType('HealthCheckResponse').decode(bytes) as unknown as { status: number },
        { service },
        (error, reply) => {
          if (error === null && reply !== undefined) resolve(reply.status);
          else reject(error ?? new Error('no reply'));
        },
      );
    });
  }

  function reflect(version: 'v1' | 'v1alpha', request: object): Promise<Reflected> {
    const call = client.makeBidiStreamRequest(
      `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      (message: object) => encode('ServerReflectionRequest', message),
      (bytes) => PROTO.lookupType('ServerReflectionResponse').decode(bytes) as unknown as Reflected,
    );
    return new Promise((resolve, reject) => {
      call.on('data', resolve);
      call.on('error', reject);
      call.write(request);
      call.end();
    });
  }

  it('says that it is healthy, as a whole and for its service, until it is told otherwise', async () => {
    for (const service of ['', 'blkferry.storage.v1.Storage'])
      assert.equal(await health(service), SERVING);
    await assert.rejects(health('none'), /NOT_FOUND/);
    setHealth('NOT_SERVING');
    for (const service of ['', 'blkferry.storage.v1.Storage'])
      assert.equal(await health(service), NOT_SERVING);
  });

  for (const version of ['v1', 'v1alpha'] as const) {
    it(`names its services and shows their definition (reflection ${version})`, async () => {
      const { listServicesResponse } = await reflect(version, { listServices: '' });
      assert.deepEqual(listServicesResponse?.service.map(({ name }) => name).sort(), [
        'blkferry.storage.v1.Storage',
        'grpc.health.v1.Health',
      ]);
      for (const symbol of ['blkferry.storage.v1.RequestBatch', 'grpc.health.v1.Health']) {
        const reply = await reflect(version, { fileContainingSymbol: symbol });
        const [file] = reply.fileDescriptorResponse?.fileDescriptorProto ?? [];
        assert.ok(file !== undefined, reply.errorResponse?.errorMessage);
        assert.ok(Buffer.from(file).includes(symbol.slice(symbol.lastIndexOf('.') + 1)));
      }
    });
  }
});
