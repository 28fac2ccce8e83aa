#!/usr/bin/env -S node --initial-old-space-size=128
/** A storage node: volumes in a directory, served over gRPC. */
import { NODE_SETTINGS, readNodeConfig } from '../config/node-config.js';
import { DEFAULT_NODE_CONFIG } from '../config/default-paths.js';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import { stopOnSignals } from '../runtime/shutdown.js';
import { VERSION } from '../runtime/version.js';
import { runNode } from './node-process.js';
import { main, openLog, STOP_SPARE_MS } from './program.js';

await main({
  name: 'blkferry-node',
  summary: 'Keeps volumes and serves them to blkferry daemons over gRPC.',
  settings: NODE_SETTINGS,
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
    stopOnSignals({
      logger,
      clock: SYSTEM_CLOCK,
      limitMs: config.shutdown_timeout + STOP_SPARE_MS,
      stop: () => node.stop(config.shutdown_timeout),
    });
    const { data_directory: data } = config;
    logger.info(
      { event: 'started', version: VERSION, address: node.address, data },
      'blkferry-node is ready',
    );
    return `blkferry-node ready: ${node.address} data ${data}`;
  },
});
