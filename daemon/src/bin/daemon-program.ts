/** The program blkferryd: its flags, and what it does from its first log record to its last. */
import { DAEMON_SETTINGS, readDaemonConfig } from '../config/daemon-config.js';
import { DEFAULT_DAEMON_CONFIG } from '../config/default-paths.js';
import { standMemoryPressure } from '../runtime/memory-pressure.js';
import { VERSION } from '../runtime/version.js';
import { runDaemon } from './daemon-process.js';
import { DAEMON_LIMITS } from './fixed-limits.js';
import { main, openLog, serve } from './program.js';
import { insecureMark } from './status-line.js';

await main({
  name: 'blkferryd',
  summary: 'Forwards NBD requests to storage nodes over gRPC.',
  settings: DAEMON_SETTINGS,
  limits: DAEMON_LIMITS,
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
    if (config['device.mode'] !== 'none') standMemoryPressure(logger);
    const daemon = await runDaemon(config, logger);
    const { nbdAddresses, adminAddresses } = daemon;
    logger.info(
      { event: 'started', version: VERSION, nbdAddresses, adminAddresses },
      'blkferryd is ready',
    );
    serve({
      logger,
      shutdownTimeoutMs: config.shutdown_timeout,
      describe: () => daemon.describe() + insecureMark(config),
      isAlive: () => daemon.isAlive(),
      isComplete: () => daemon.isComplete(),
      stop: () => daemon.stop(),
    });
    return `blkferryd ready: nbd ${nbdAddresses.join(' ')} admin ${adminAddresses.join(' ')}`;
  },
});
