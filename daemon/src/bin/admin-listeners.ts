/**
 * Where the daemon's admin API is served: its own socket, where everybody has every right, and TCP addresses, where
 * certificates and roles count. Each address has a gRPC server of its own, because it is the address that says
 * how callers are known.
 */
import fs from 'node:fs';
import { Server } from '@grpc/grpc-js';
import { adminHandlers, type AdminServiceOptions } from '../admin/admin-service.js';
import { AdminRoles } from '../admin/caller-role.js';
import type { DaemonConfig } from '../config/daemon-config.js';
import { RoleRules } from '../config/role-rules.js';
import { serverOptions } from '../rpc/channel-options.js';
import { peerIdentity, type CallPlace } from '../rpc/peer-identity.js';
import { ADMIN_SERVICE } from '../rpc/service-definition.js';
import { listen } from '../rpc/server-listener.js';
import { addStandardServices } from '../rpc/standard-services.js';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import type { Logger } from '../runtime/logger.js';
import { watchFiles } from '../runtime/watched-files.js';
import type { TlsMaterial } from '../security/tls-material.js';
import { groupNamed, makeFolderOf, shareSocket } from './socket-folder.js';

export interface AdminListener {
  /** Its own socket first. */
  readonly addresses: readonly string[];
  /** No further clients; those there are still get their answers. */
  stopAccepting(): void;
  endCalls(): void;
}

export interface AdminParts {
  readonly service: AdminServiceOptions;
  /** For the TCP addresses. */
  readonly tls: TlsMaterial | undefined;
}

/** @throws Error with a sentence when an address cannot be had or the rules cannot be used */
export async function openAdmin(config: DaemonConfig, parts: AdminParts): Promise<AdminListener> {
  const { logger } = parts.service;
  const rulesFile = config['admin.access_file'];
  const roles = rulesFile === '' ? undefined : new AdminRoles(RoleRules.fromFile(rulesFile));
  const socket = config['admin.socket'];
  const groupId = groupNamed(config['admin.socket_group']);
  makeFolderOf(socket, 'admin.socket', groupId);
  const listeners = [await openOne(`unix:${socket}`, parts, undefined)];
  // The group first: with the mode first, another group could come for a moment.
  if (groupId !== undefined) shareSocket(socket, groupId, logger);
  fs.chmodSync(socket, Number.parseInt(config['admin.socket_mode'], 8));
  for (const address of config['admin.tcp']) {
    listeners.push(await openOne(address, parts, roles));
  }
  const stopWatching =
    roles === undefined ? (): void => undefined : watchRoles(rulesFile, roles, logger);
  return {
    addresses: listeners.flatMap(({ addresses }) => addresses),
    stopAccepting: () => {
      stopWatching();
      for (const listener of listeners) listener.stopAccepting();
    },
    endCalls: () => {
      for (const listener of listeners) listener.endCalls();
    },
  };
}

/** @param roles undefined: whoever comes may do everything */
async function openOne(
  address: string,
  { service, tls }: AdminParts,
  roles: AdminRoles | undefined,
): Promise<AdminListener> {
  const { logger, refusals } = service;
  const server = new Server(serverOptions());
  // Nobody calls before there is a listener.
  let place: CallPlace = { address, isTls: true };
  server.addService(
    ADMIN_SERVICE,
    roles === undefined
      ? adminHandlers(service)
      : adminHandlers(service, (call) => roles.callerOf(peerIdentity(call, place))),
  );
  const setHealth = addStandardServices(server, 'blkferry.admin.v1.Admin');
  const listener = await listen(server, {
    address,
    insecure: false,
    tls,
    refusals,
    onWindows: (windows) => {
      logger.trace({ event: 'admin_connected', windows }, 'admin client connected');
    },
  });
  place = listener;
  return {
    addresses: [listener.address],
    stopAccepting: () => {
      setHealth('NOT_SERVING');
      listener.stopAccepting();
    },
    endCalls: () => {
      server.forceShutdown();
    },
  };
}

/** New rules count from the next call on. @returns ends it */
function watchRoles(file: string, roles: AdminRoles, logger: Logger): () => void {
  return watchFiles([file], SYSTEM_CLOCK, () => {
    try {
      roles.replaceRules(RoleRules.fromFile(file));
    } catch (error) {
      logger.warn(
        { event: 'admin_roles_not_replaced', file },
        `new roles are not used, those of before stay in force: ${(error as Error).message}`,
      );
      return;
    }
    logger.info({ event: 'admin_roles_replaced', file }, `new roles from ${file} are in force`);
  });
}
