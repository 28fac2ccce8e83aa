/** Health (grpc.health.v1) and reflection on a server of ours, so that grpcurl and other languages work at once. */
import type { Server } from '@grpc/grpc-js';
import { HealthImplementation, protoPath, type ServingStatus } from 'grpc-health-check';
import { addLazyReflection } from './lazy-reflection.js';
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
  addLazyReflection(server, {
    files: [...PROTO_FILES, protoPath],
    folder: PROTO_FOLDER,
    services: [serviceName, HEALTH_SERVICE],
  });
  return (status) => {
    health.setStatus('', status);
    health.setStatus(serviceName, status);
  };
}
