/** Health (grpc.health.v1) and reflection on a server of ours, so that grpcurl and other languages work at once. */
import type { Server } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, protoPath, type ServingStatus } from 'grpc-health-check';
import { PROTO_FILES, PROTO_FOLDER } from './proto-root.js';

const HEALTH_SERVICE = 'grpc.health.v1.Health';

/** Says what the health service answers from now on, for the server as a whole and for its service. */
export type SetHealth = (status: ServingStatus) => void;

/**
 * Adds both to a server, which is healthy from the start.
 *
 * @param serviceName full name of the one service of ours that the server has
 */
export function addStandardServices(server: Server, serviceName: string): SetHealth {
  const health = new HealthImplementation({ '': 'SERVING', [serviceName]: 'SERVING' });
  health.addToServer(server);
  const definitions = loadSync([...PROTO_FILES, protoPath], { includeDirs: [PROTO_FOLDER] });
  const reflection = new ReflectionService(definitions, {
    services: [serviceName, HEALTH_SERVICE],
  });
  reflection.addToServer(server);
  return (status) => {
    health.setStatus('', status);
    health.setStatus(serviceName, status);
  };
}
