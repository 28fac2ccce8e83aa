#!/usr/bin/env -S node --initial-old-space-size=128
/** The forwarding daemon: NBD clients on one side, storage nodes on the other. */
import { DAEMON_SETTINGS, readDaemonConfig } from '../config/daemon-config.js';
import { DEFAULT_DAEMON_CONFIG } from '../config/default-paths.js';
import { SYSTEM_CLOCK } from '../runtime/clock.js';
import { stopOnSignals } from '../runtime/shutdown.js';
import { VERSION } from '../runtime/version.js';
import { runDaemon } from './daemon-process.js';
import { main, openLog, STOP_SPARE_MS } from './program.js';

await main({
  name: 'blkferryd',
  summary: 'Forwards NBD requests to storage nodes over gRPC.',
  settings: DAEMON_SETTINGS,
  defaultFile: DEFAULT_DAEMON_CONFIG,
  flags: {
    node: '--node <address>',
    'nbd.socket': '--nbd-socket <path>',
    'nbd.tcp': '--nbd-tcp <addresses>',
    'admin.socket': '--admin-socket <path>',
    state_directory: '--state-directory <path>',
    runtime_directory: '--runtime-directory <path>',
    'log.level': '--log-level <level>',
    insecure: '--insecure',
  },
  run: async (sources) => {
    const config = readDaemonConfig(sources);
    const logger = openLog('blkferryd', config['log.level']);
    const daemon = await runDaemon(config, logger);
    stopOnSignals({
      logger,
      clock: SYSTEM_CLOCK,
      limitMs: config.shutdown_timeout + STOP_SPARE_MS,
      stop: () => daemon.stop(),
    });
    const { nbdAddresses, adminAddress } = daemon;
    logger.info(
      { event: 'started', version: VERSION, nbdAddresses, adminAddress },
      'blkferryd is ready',
    );
    return `blkferryd ready: nbd ${nbdAddresses.join(' ')} admin ${adminAddress}`;
  },
});
