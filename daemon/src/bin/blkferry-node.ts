#!/usr/bin/env -S UV_THREADPOOL_SIZE=32 node --initial-old-space-size=128
/** A storage node: volumes in a directory, served over gRPC. */
import { NODE_SETTINGS, readNodeConfig } from '../config/node-config.js';
import { DEFAULT_NODE_CONFIG } from '../config/default-paths.js';
import { VERSION } from '../runtime/version.js';
import { NODE_LIMITS } from './fixed-limits.js';
import { runNode } from './node-process.js';
import { main, openLog, serve } from './program.js';
import { describeNode, insecureMark } from './status-line.js';

await main({
  name: 'blkferry-node',
  summary: 'Keeps volumes and serves them to blkferry daemons over gRPC.',
  settings: NODE_SETTINGS,
  limits: NODE_LIMITS,
  defaultFile: DEFAULT_NODE_CONFIG,
  flags: {
    listen: '--listen <address>',
    data_directory: '--data-directory <path>',
    'log.level': '--log-level <level>',
    insecure: '--insecure',
  },
  run: async (sources) => {
    const config = readNodeConfig(sources);
    const logger = openLog('blkferry-node', config['log.level']);
    const node = await runNode(config, logger);
    const { data_directory: data } = config;
    const { options, sessions } = node.service;
    logger.info(
      { event: 'started', version: VERSION, address: node.address, data },
      'blkferry-node is ready',
    );
    serve({
      logger,
      shutdownTimeoutMs: config.shutdown_timeout,
      describe: () =>
        describeNode(options.catalog.list().length, sessions.count) + insecureMark(config),
      isAlive: () => node.isAlive(),
      stop: () => node.stop(config.shutdown_timeout),
    });
    return `blkferry-node ready: ${node.address} data ${data}`;
  },
});
