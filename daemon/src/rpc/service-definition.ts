/**
 * A service of the .proto files as grpc-js wants it. Unary messages go through message-codec.ts; a
 * method that has a codec of its own (OpenSession) names it.
 */
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { decodeMessage, encodeMessage } from './message-codec.js';
import { PROTO_ROOT, lookupType } from './proto-root.js';
import { StorageError } from './storage-error.js';
import {
  decodeClientFrame,
  decodeNodeFrame,
  encodeClientFrame,
  encodeNodeFrame,
} from './storage-frame.js';

type AnyMethod = MethodDefinition<object, object>;

/** The lazy messages are what grpc-js uses of a Buffer; its types ask for a whole one. */
type Serialize = AnyMethod['requestSerialize'];
type Deserialize = AnyMethod['requestDeserialize'];

const OWN_CODECS: Readonly<Record<string, Partial<AnyMethod>>> = {
  '/blkferry.storage.v1.Storage/OpenSession': {
    requestSerialize: encodeClientFrame as unknown as Serialize,
    requestDeserialize: decodeClientFrame,
    responseSerialize: encodeNodeFrame as unknown as Serialize,
    responseDeserialize: decodeNodeFrame,
  },
};

/** @param name full name of the service, as in `blkferry.storage.v1.Storage` */
export function serviceDefinition(name: string): ServiceDefinition {
  const service = PROTO_ROOT.lookupService(name);
  const methods: Record<string, AnyMethod> = {};
  for (const method of service.methodsArray) {
    const path = `/${name}/${method.name}`;
    const packageName = name.slice(0, name.lastIndexOf('.'));
    const request = lookupType(`${packageName}.${method.requestType}`);
    const response = lookupType(`${packageName}.${method.responseType}`);
    const deserializeRequest: Deserialize = (bytes) => decodeMessage(request, bytes) as object;
    const deserializeResponse: Deserialize = (bytes) => decodeMessage(response, bytes) as object;
    methods[method.name] = {
      path,
      requestStream: method.requestStream ?? false,
      responseStream: method.responseStream ?? false,
      requestSerialize: (message) => encodeMessage(request, message),
      requestDeserialize: deserializeRequest,
      responseSerialize: (message) => encodeMessage(response, message),
      responseDeserialize: deserializeResponse,
      ...OWN_CODECS[path],
    };
  }
  return methods;
}

/**
 * The same service for the server's side. grpc-js answers a request that cannot be decoded with INTERNAL
 * and without a reason; here the handler finds the StorageError in the request's place, and says it.
 */
export function withReadableRefusals(definition: ServiceDefinition): ServiceDefinition {
  const methods: Record<string, AnyMethod> = {};
  for (const [name, method] of Object.entries(definition)) {
    const decode = method.requestDeserialize as Deserialize;
    methods[name] = {
      ...(method as AnyMethod),
      requestDeserialize: (bytes): object => {
        try {
          return decode(bytes);
        } catch (error) {
          if (error instanceof StorageError) return error;
          throw error;
        }
      },
    };
  }
  return methods;
}

export const STORAGE_SERVICE = serviceDefinition('blkferry.storage.v1.Storage');
export const ADMIN_SERVICE = serviceDefinition('blkferry.admin.v1.Admin');
